#include "codecs/oip_json.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "codecs/simple_json.h"
#include "core/request.h"

namespace sluice::codecs {
namespace {

Signature one_input(DType dtype, std::vector<std::int64_t> dims) {
  Signature out;
  out.inputs.push_back({"x", dtype, std::move(dims), Role::kUnknown});
  out.outputs.push_back({"y", DType::kFloat32, {-1}, Role::kUnknown});
  out.outputs.push_back({"z", DType::kFloat32, {-1}, Role::kUnknown});
  out.seal();
  return out;
}

const Signature kRows = one_input(DType::kFloat32, {-1, 2});

struct Decoded {
  explicit Decoded(const std::string& body, const Signature& signature = kRows,
                   std::optional<std::size_t> header_length = {})
      : size(body.size()),
        buffer(std::make_unique<char[]>(body.size() + json_padding())),
        request(make_request()) {
    std::memcpy(buffer.get(), body.data(), size);
    result = decode_oip_json({buffer.get(), size}, header_length, signature, memory, *request);
  }
  std::string reason() const { return result ? "ok" : std::string(result.error().reason); }
  std::vector<float> values() const {
    const auto span = request->inputs[0].as<float>();
    return {span.begin(), span.end()};
  }
  clients::SharedMemory memory{false};
  std::size_t size;
  std::unique_ptr<char[]> buffer;
  RequestPtr request;
  Result<void> result;
};

std::string with_input(const std::string& members) { return "{\"inputs\":[{" + members + "}]}"; }

TEST(OipJson, MembersComeInAnyOrder) {
  const std::string name = R"("name":"x")";
  const std::string type = R"("datatype":"FP32")";
  const std::string shape = R"("shape":[2,2])";
  const std::string data = R"("data":[[1,2],[3,4]])";
  const std::vector<float> wanted = {1, 2, 3, 4};
  std::vector<std::string> parts = {data, name, shape, type};
  std::ranges::sort(parts);
  do {
    std::string members;
    for (const auto& part : parts) members += (members.empty() ? "" : ",") + part;
    const Decoded decoded(with_input(members));
    ASSERT_EQ(decoded.reason(), "ok") << members;
    EXPECT_EQ(decoded.values(), wanted) << members;
  } while (std::ranges::next_permutation(parts).found);
}

TEST(OipJson, FlatOrNestedAsTheShapeIs) {
  const auto reason = [](const std::string& data) {
    return Decoded(with_input(R"("name":"x","datatype":"FP32","shape":[2,2],"data":)" + data))
        .reason();
  };
  EXPECT_EQ(reason("[1,2,3,4]"), "ok");
  EXPECT_EQ(reason("[[1,2],[3,4]]"), "ok");
  EXPECT_EQ(reason("[[1,2,3,4]]"), "wrong_shape");
  EXPECT_EQ(reason("[1,2,3]"), "wrong_shape");
  EXPECT_EQ(reason("[1,2,3,4,5]"), "wrong_shape");
  EXPECT_EQ(reason("[[1,2],[3]]"), "ragged");
  EXPECT_EQ(reason("[1,2,3,1e39]"), "out_of_range");
  EXPECT_EQ(reason("[1,2,3,NaN]"), "not_json");
  EXPECT_EQ(reason("[1,2,3,\"4\"]"), "wrong_type");
}

TEST(OipJson, WhatDoesNotFitIsTold) {
  const auto reason = [](const std::string& members) {
    return Decoded(with_input(members)).reason();
  };
  const std::string rest = R"(,"shape":[1,2],"data":[1,2])";
  EXPECT_EQ(reason(R"("name":"q","datatype":"FP32")" + rest), "unknown_input");
  EXPECT_EQ(reason(R"("name":"x","datatype":"FP64")" + rest), "wrong_type");
  EXPECT_EQ(reason(R"("name":"x","datatype":"FP33")" + rest), "wrong_type");
  EXPECT_EQ(reason(R"("name":"x","datatype":"FP32","shape":[-1,2],"data":[1,2])"), "wrong_shape");
  EXPECT_EQ(reason(R"("name":"x","datatype":"FP32","shape":[1,2])"), "missing_key");
  EXPECT_EQ(reason(R"("name":"x","datatype":"FP32","data":[1,2])"), "missing_key");
  EXPECT_EQ(reason(R"("name":"x","name":"x","datatype":"FP32")" + rest), "duplicate_key");
  EXPECT_EQ(Decoded(R"({"inputs":[]})").reason(), "missing_input");
  EXPECT_EQ(Decoded(R"({"inputs":{}})").reason(), "wrong_type");
  EXPECT_EQ(Decoded(R"([])").reason(), "wrong_type");
}

TEST(OipJson, AHugeShapeTakesNoMemory) {
  EXPECT_EQ(Decoded(with_input(R"("name":"x","datatype":"FP32","shape":[134217728,2],"data":[1])"))
                .reason(),
            "wrong_shape");
  EXPECT_EQ(
      Decoded(
          with_input(R"("name":"x","datatype":"FP32","shape":[4,1152921504606846978],"data":[1])"))
          .reason(),
      "shape_overflow");
}

TEST(OipJson, TensorsBehindTheJson) {
  const float row[2] = {1.5F, -2};
  const std::string raw(reinterpret_cast<const char*>(row), sizeof row);
  std::string json = with_input(
      R"("name":"x","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8})");
  while (json.size() % 16 != 0) json += ' ';  // so that the tensor lies aligned
  const Decoded aligned(json + raw, kRows, json.size());
  ASSERT_EQ(aligned.reason(), "ok");
  EXPECT_EQ(aligned.values(), (std::vector<float>{1.5F, -2}));
  EXPECT_EQ(reinterpret_cast<const char*>(aligned.request->inputs[0].data.data()),
            aligned.buffer.get() + json.size())
      << "viewed where it was received";
  json += ' ';
  const Decoded shifted(json + raw, kRows, json.size());
  EXPECT_EQ(shifted.values(), (std::vector<float>{1.5F, -2}));
  EXPECT_EQ(Decoded(json + raw + "x", kRows, json.size()).reason(), "wrong_size");
  EXPECT_EQ(Decoded(json + raw.substr(1), kRows, json.size()).reason(), "wrong_size");
  EXPECT_EQ(Decoded(json + raw, kRows, json.size() + 9).reason(), "bad_header");
}

TEST(OipJson, ABodyThatIsTheTensor) {
  const float row[2] = {1, 2};
  const std::string raw(reinterpret_cast<const char*>(row), sizeof row);
  const Decoded decoded(raw, kRows, 0);
  ASSERT_EQ(decoded.reason(), "ok");
  EXPECT_EQ(decoded.request->inputs[0].shape, (Shape{1, 2}));
  EXPECT_EQ(Decoded(raw + "x", kRows, 0).reason(), "wrong_size");
  EXPECT_EQ(Decoded(raw + raw, kRows, 0).reason(), "wrong_size") << "one row, not two";
  EXPECT_EQ(Decoded("", kRows, 0).reason(), "wrong_size");
  const auto free_width = one_input(DType::kFloat32, {-1, -1});
  EXPECT_EQ(Decoded(raw + raw, free_width, 0).request->inputs[0].shape, (Shape{1, 4}));
}

TEST(OipJson, RequestedOutputsOnceEach) {
  const std::string input =
      R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}],"outputs":)";
  EXPECT_EQ(Decoded(input + R"([{"name":"z"},{"name":"y"}]})").reason(), "ok");
  EXPECT_EQ(Decoded(input + R"([{"name":"z"},{"name":"z"}]})").reason(), "duplicate_output");
  EXPECT_EQ(Decoded(input + R"([{"name":"q"}]})").reason(), "unknown_output");
  EXPECT_EQ(Decoded(input + R"([{}]})").reason(), "wrong_type");
}

}  // namespace
}  // namespace sluice::codecs
