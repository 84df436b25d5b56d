// Our reader and writer of the wire form against protobuf's own classes.
#include "codecs/oip_proto.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/servable.h"
#include "oip/service.pb.h"

namespace sluice::codecs {
namespace {

using inference::InferTensorContents;
using inference::ModelInferRequest;

Signature one_input(DType dtype, std::vector<std::int64_t> dims) {
  Signature out;
  out.inputs.push_back({"x", dtype, std::move(dims), Role::kUnknown});
  out.outputs.push_back({"y", DType::kFloat32, {-1}, Role::kUnknown});
  out.seal();
  return out;
}

ModelInferRequest request_of(std::string_view datatype, std::initializer_list<std::int64_t> shape) {
  ModelInferRequest out;
  out.set_model_name("m");
  auto& input = *out.add_inputs();
  input.set_name("x");
  input.set_datatype(std::string(datatype));
  for (const auto dim : shape) input.add_shape(dim);
  return out;
}

struct Decoded {
  Decoded(const ModelInferRequest& message, const Signature& signature)
      : bytes(message.SerializeAsString()), request(make_request()) {
    result = decode_oip_proto(bytes, signature, memory, *request);
    request->on_done = nullptr;
  }
  std::string reason() const { return result ? "ok" : std::string(result.error().reason); }
  clients::SharedMemory memory{false};
  std::string bytes;
  RequestPtr request;
  Result<void> result;
};

template <class T>
std::vector<T> values(const Decoded& decoded) {
  const auto span = decoded.request->inputs[0].as<T>();
  return {span.begin(), span.end()};
}

TEST(OipProto, TypedContentsOfEveryType) {
  auto message = request_of("BOOL", {3});
  for (const bool flag : {true, false, true}) {
    message.mutable_inputs(0)->mutable_contents()->add_bool_contents(flag);
  }
  EXPECT_EQ(values<std::uint8_t>(Decoded(message, one_input(DType::kBool, {-1}))),
            (std::vector<std::uint8_t>{1, 0, 1}));
  message = request_of("INT16", {3});
  for (const int value : {-32768, 0, 32767}) {
    message.mutable_inputs(0)->mutable_contents()->add_int_contents(value);
  }
  EXPECT_EQ(values<std::int16_t>(Decoded(message, one_input(DType::kInt16, {-1}))),
            (std::vector<std::int16_t>{-32768, 0, 32767}));
  message = request_of("UINT64", {1});
  message.mutable_inputs(0)->mutable_contents()->add_uint64_contents(UINT64_MAX);
  EXPECT_EQ(values<std::uint64_t>(Decoded(message, one_input(DType::kUint64, {-1}))),
            std::vector<std::uint64_t>{UINT64_MAX});
  message = request_of("FP64", {2});
  for (const double value : {0.1, -1e300}) {
    message.mutable_inputs(0)->mutable_contents()->add_fp64_contents(value);
  }
  EXPECT_EQ(values<double>(Decoded(message, one_input(DType::kFloat64, {-1}))),
            (std::vector<double>{0.1, -1e300}));
  message = request_of("BYTES", {2});
  for (const char* value : {"a", ""}) {
    message.mutable_inputs(0)->mutable_contents()->add_bytes_contents(value);
  }
  const Decoded strings(message, one_input(DType::kString, {-1}));
  EXPECT_EQ(strings.request->inputs[0].strings[0], "a");
  EXPECT_EQ(strings.request->inputs[0].strings[1], "");
}

TEST(OipProto, ValuesThatDoNotFitAreRefused) {
  auto message = request_of("INT8", {1});
  message.mutable_inputs(0)->mutable_contents()->add_int_contents(128);
  EXPECT_EQ(Decoded(message, one_input(DType::kInt8, {-1})).reason(), "out_of_range");
  EXPECT_EQ(Decoded(message, one_input(DType::kInt16, {-1})).reason(), "wrong_type");
  message.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  EXPECT_EQ(Decoded(message, one_input(DType::kInt8, {-1})).reason(), "out_of_range");
}

TEST(OipProto, ARawTensorIsViewedWhereItLies) {
  const float row[4] = {1, 2, 3, 4};
  auto message = request_of("FP32", {1, 4});
  message.add_raw_input_contents(row, sizeof row);
  const auto signature = one_input(DType::kFloat32, {-1, 4});
  const std::string bytes = message.SerializeAsString();
  clients::SharedMemory memory(false);
  // At each of four places, one of which is aligned: viewed there, copied elsewhere, always right.
  int viewed = 0;
  for (std::size_t shift = 0; shift < 4; ++shift) {
    alignas(16) char buffer[256];
    std::memcpy(buffer + shift, bytes.data(), bytes.size());
    auto request = make_request();
    ASSERT_TRUE(decode_oip_proto({buffer + shift, bytes.size()}, signature, memory, *request));
    const auto* data = reinterpret_cast<const char*>(request->inputs[0].data.data());
    EXPECT_EQ(std::memcmp(data, row, sizeof row), 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % alignof(float), 0);
    viewed += data >= buffer && data < buffer + sizeof buffer;
  }
  EXPECT_EQ(viewed, 1);
}

TEST(OipProto, RawAndTypedAreNotMixed) {
  auto message = request_of("FP32", {1});
  message.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  message.add_raw_input_contents("\0\0\x80\x3F", 4);
  EXPECT_EQ(Decoded(message, one_input(DType::kFloat32, {-1})).reason(), "wrong_size");
  message.mutable_inputs(0)->clear_contents();
  EXPECT_EQ(Decoded(message, one_input(DType::kFloat32, {-1})).reason(), "ok");
  message.add_raw_input_contents("more");
  EXPECT_EQ(Decoded(message, one_input(DType::kFloat32, {-1})).reason(), "wrong_size");
}

TEST(OipProto, AHugeShapeTakesNoMemory) {
  auto message = request_of("INT32", {1 << 28});
  message.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  EXPECT_EQ(Decoded(message, one_input(DType::kInt32, {-1})).reason(), "wrong_size");
  message = request_of("BYTES", {1 << 28});
  message.add_raw_input_contents("abcd");
  EXPECT_EQ(Decoded(message, one_input(DType::kString, {-1})).reason(), "wrong_size");
  message = request_of("FP32", {std::int64_t{1} << 60, 1 << 10});
  message.add_raw_input_contents("abcd");
  EXPECT_EQ(Decoded(message, one_input(DType::kFloat32, {-1, -1})).reason(), "shape_overflow");
}

TEST(OipProto, ParametersOfTheRequest) {
  auto message = request_of("FP32", {1});
  message.add_raw_input_contents("\0\0\x80\x3F", 4);
  message.set_id("id-1");
  (*message.mutable_parameters())["priority"].set_uint64_param(2);
  (*message.mutable_parameters())["user_id"].set_string_param("u1");
  (*message.mutable_parameters())["timeout"].set_int64_param(1000);
  const Decoded decoded(message, one_input(DType::kFloat32, {-1}));
  ASSERT_EQ(decoded.reason(), "ok");
  EXPECT_EQ(decoded.request->priority, 2);
  EXPECT_EQ(decoded.request->user_id, "u1");
  EXPECT_EQ(decoded.request->deadline, decoded.request->arrived + std::chrono::microseconds(1000));
  EXPECT_EQ(decoded.request->request_id, "id-1");
  (*message.mutable_parameters())["triton_x"].set_bool_param(true);
  EXPECT_EQ(Decoded(message, one_input(DType::kFloat32, {-1})).reason(), "bad_parameter");
}

TEST(OipProto, EveryCutOffMessageIsRefusedOrMissesSomething) {
  auto message = request_of("FP32", {1, 4});
  message.add_raw_input_contents(std::string(16, '\0'));
  message.set_id("id");
  const auto signature = one_input(DType::kFloat32, {-1, 4});
  const std::string bytes = message.SerializeAsString();
  clients::SharedMemory memory(false);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // In memory of its own, so that a sanitizer sees each byte behind the end.
    const auto cut = std::make_unique<char[]>(size);
    std::memcpy(cut.get(), bytes.data(), size);
    auto request = make_request();
    EXPECT_FALSE(decode_oip_proto({cut.get(), size}, signature, memory, *request)) << size;
  }
}

}  // namespace
}  // namespace sluice::codecs
