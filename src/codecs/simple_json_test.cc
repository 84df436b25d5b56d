#include "codecs/simple_json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/half.h"

namespace sluice::codecs {
namespace {

Signature table(std::int64_t width, DType dtype = DType::kFloat32) {
  Signature out;
  out.inputs.push_back({"x", dtype, {-1, width}, Role::kUnknown});
  return out;
}

Signature named_table() {
  Signature out = table(3);
  out.columns = {"age", "income", "clicks"};
  return out;
}

struct Decoded {
  std::unique_ptr<Request> request = std::make_unique<Request>();
  std::string body;
  Result<void> result;

  std::vector<double> values(std::size_t input = 0) const {
    std::vector<double> out;
    const auto& tensor = request->inputs[input];
    for (std::size_t i = 0; i < tensor.elements(); ++i) out.push_back(number_at(tensor, i));
    return out;
  }
  std::string shape(std::size_t input = 0) const {
    return show_shape(request->inputs[input].shape.dims());
  }
  std::string reason() const { return result ? "ok" : std::string(result.error().reason); }
};

Decoded decode(const std::string& body, const Signature& signature, bool strict = false) {
  Decoded out;
  out.body = body;
  out.body.reserve(body.size() + json_padding());
  out.result = decode_simple_json(out.body, signature, strict, *out.request);
  return out;
}

using Values = std::vector<double>;

TEST(SimpleJson, OneRowManyRowsFlatAndNested) {
  const auto one = decode(R"({"features":[1,2.5,-3e2]})", table(3));
  ASSERT_TRUE(one.result);
  EXPECT_EQ(one.values(), (Values{1, 2.5, -300}));
  EXPECT_EQ(one.shape(), "[1,3]");
  EXPECT_FALSE(one.request->many_rows);

  const auto many = decode(R"({"features":[[1,2,3],[4,5,6]]})", table(3));
  EXPECT_EQ(many.shape(), "[2,3]");
  EXPECT_TRUE(many.request->many_rows);
  EXPECT_EQ(many.request->rows, 2U);

  Signature image;
  image.inputs.push_back({"x", DType::kFloat32, {-1, 2, 3}, Role::kUnknown});
  EXPECT_EQ(decode(R"({"features":[1,2,3,4,5,6]})", image).shape(), "[1,2,3]");
  EXPECT_EQ(decode(R"({"features":[[1,2,3],[4,5,6]]})", image).shape(), "[1,2,3]");
  EXPECT_EQ(decode(R"({"features":[[1,2,3,4,5,6]]})", image).shape(), "[1,2,3]");
  EXPECT_EQ(decode(R"({"features":[[[1,2,3],[4,5,6]],[[1,2,3],[4,5,6]]]})", image).shape(),
            "[2,2,3]");
}

TEST(SimpleJson, ByNameInAnyOrder) {
  const auto one = decode(R"({"features":{"clicks":3,"age":41,"income":null}})", named_table());
  ASSERT_TRUE(one.result);
  EXPECT_EQ(one.values()[0], 41);
  EXPECT_TRUE(std::isnan(one.values()[1]));
  EXPECT_EQ(one.values()[2], 3);
  const auto rows =
      decode(R"({"features":[{"age":1,"income":2,"clicks":3},{"age":4,"income":5,"clicks":6}]})",
             named_table());
  EXPECT_EQ(rows.values(), (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(rows.request->many_rows);

  const auto unknown = decode(R"({"features":{"agee":1,"income":2,"clicks":3}})", named_table());
  EXPECT_EQ(unknown.reason(), "unknown_feature");
  EXPECT_NE(unknown.result.error().message.find("'age'"), std::string::npos);
  EXPECT_EQ(decode(R"({"features":{"age":1,"income":2}})", named_table()).reason(),
            "missing_feature");
  EXPECT_EQ(
      decode(R"({"features":{"age":1,"age":1,"income":2,"clicks":3}})", named_table()).reason(),
      "duplicate_key");
}

TEST(SimpleJson, SeveralInputs) {
  Signature columns;
  columns.inputs.push_back({"age", DType::kFloat32, {-1, 1}, Role::kUnknown});
  columns.inputs.push_back({"clicks", DType::kInt64, {-1, 1}, Role::kUnknown});
  for (const char* body : {R"({"features":[30,5]})", R"({"features":{"clicks":5,"age":30}})"}) {
    const auto one = decode(body, columns);
    ASSERT_TRUE(one.result) << one.result.error().message;
    EXPECT_EQ(one.values(0), Values{30});
    EXPECT_EQ(one.values(1), Values{5});
    EXPECT_FALSE(one.request->many_rows);
  }
  for (const char* body : {R"({"features":[[30,5],[31,6]]})",
                           R"({"features":[{"age":30,"clicks":5},{"age":31,"clicks":6}]})"}) {
    const auto two = decode(body, columns);
    ASSERT_TRUE(two.result) << two.result.error().message;
    EXPECT_EQ(two.values(1), (Values{5, 6}));
    EXPECT_EQ(two.shape(1), "[2,1]");
    EXPECT_TRUE(two.request->many_rows);
  }
}

TEST(SimpleJson, TypesAreExactOrRefused) {
  const auto value = [](const char* text, DType dtype) {
    return decode(std::string(R"({"features":[)") + text + "]}", table(1, dtype));
  };
  EXPECT_EQ(value("9223372036854775807", DType::kInt64).request->inputs[0].as<std::int64_t>()[0],
            INT64_MAX);
  EXPECT_EQ(value("18446744073709551615", DType::kUint64).request->inputs[0].as<std::uint64_t>()[0],
            UINT64_MAX);
  EXPECT_EQ(value("3.0", DType::kInt32).values(), Values{3});
  EXPECT_EQ(value("2e1", DType::kUint8).values(), Values{20});
  EXPECT_EQ(value("true", DType::kBool).values(), Values{1});
  EXPECT_EQ(value("65504", DType::kFloat16).values(), Values{65504});
  const struct {
    const char* text;
    DType dtype;
    const char* reason;
  } refused[] = {
      {"256", DType::kUint8, "out_of_range"},
      {"-1", DType::kUint64, "out_of_range"},
      {"-129", DType::kInt8, "out_of_range"},
      {"1.5", DType::kInt32, "wrong_type"},
      {"null", DType::kInt32, "wrong_type"},
      {"true", DType::kInt32, "wrong_type"},
      {"\"1\"", DType::kFloat32, "wrong_type"},
      {"true", DType::kFloat32, "wrong_type"},
      {"1e39", DType::kFloat32, "out_of_range"},
      {"1e999", DType::kFloat64, "out_of_range"},
      {"65536", DType::kFloat16, "out_of_range"},
      {"2", DType::kBool, "wrong_type"},
      {"9223372036854775808", DType::kInt64, "out_of_range"},
      {"1", DType::kString, "wrong_type"},
      {"NaN", DType::kFloat32, "not_json"},
      {"Infinity", DType::kFloat32, "not_json"},
      {"nul", DType::kFloat32, "not_json"},
      {"01", DType::kFloat32, "not_json"},
      {"+1", DType::kFloat32, "not_json"},
      {"1.", DType::kFloat32, "not_json"},
      {".5", DType::kFloat32, "not_json"},
      {"0x10", DType::kFloat32, "not_json"},
      {"1 2", DType::kFloat32, "not_json"},
  };
  for (const auto& test : refused) {
    EXPECT_EQ(value(test.text, test.dtype).reason(), test.reason) << test.text;
  }
}

TEST(SimpleJson, BadFeatures) {
  const auto reason = [](const char* body) { return decode(body, table(3)).reason(); };
  EXPECT_EQ(reason("{}"), "missing_features");
  EXPECT_EQ(reason(R"({"features":[]})"), "empty");
  EXPECT_EQ(reason(R"({"features":[[]]})"), "empty");
  EXPECT_EQ(reason(R"({"features":"1,2,3"})"), "wrong_type");
  EXPECT_EQ(reason(R"({"features":null})"), "wrong_type");
  EXPECT_EQ(reason(R"({"features":7})"), "wrong_type");
  EXPECT_EQ(reason(R"({"features":[1,2]})"), "wrong_width");
  EXPECT_EQ(reason(R"({"features":[1,2,3,4]})"), "wrong_width");
  EXPECT_EQ(reason(R"({"features":[[1,2,3],[4,5]]})"), "ragged");
  EXPECT_EQ(reason(R"({"features":[[1,2,3],4]})"), "ragged");
  EXPECT_EQ(reason(R"({"features":[1,[2],3]})"), "wrong_type");
  EXPECT_EQ(reason(R"([1,2,3])"), "wrong_type");
  EXPECT_EQ(reason("7"), "wrong_type");
}

TEST(SimpleJson, NothingThatIsNotJsonHidesAnywhere) {
  const auto reason = [](const std::string& body) { return decode(body, table(1)).reason(); };
  for (const char* hidden :
       {"NaN", "truefalse", "{\"a\":tru}", "[1,]", "\"\\x\"", "[1 2]", "{\"a\" 1}", "nulll", "01",
        "\"\\ud800\"", "1e", "{1:2}", "[", "'a'"}) {
    EXPECT_EQ(reason(std::string(R"({"other":)") + hidden + R"(,"features":[1]})"), "not_json")
        << hidden;
  }
  EXPECT_EQ(reason(""), "not_json");
  EXPECT_EQ(reason("   "), "not_json");
  EXPECT_EQ(reason(R"({"features":[1])"), "not_json");
  EXPECT_EQ(reason(R"({"features":[1]}})"), "not_json");
  EXPECT_EQ(reason(R"({"features":[1]}{"features":[2]})"), "not_json");
  EXPECT_EQ(reason(R"({"features":[1]} x)"), "not_json");
  EXPECT_EQ(reason("{\"features\":[1],\"a\":\"\xFF\"}"), "not_json");
  EXPECT_EQ(reason("\xEF\xBB\xBF{\"features\":[1]}"), "not_json");
  EXPECT_EQ(reason(R"({"features":[1],"features":[1]})"), "duplicate_key");
  EXPECT_EQ(reason(R"({"features":[1],"user_id":"a","user_id":"b"})"), "duplicate_key");
  EXPECT_EQ(reason(R"({"features":[1],"x":1,"x":2})"), "duplicate_key");
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  EXPECT_EQ(reason(R"({"other":)" + deep + R"(,"features":[1]})"), "not_json");
  EXPECT_EQ(reason(R"({"features":)" + deep + "}"), "too_deep");
}

TEST(SimpleJson, UnknownKeysWarnAndStrictRefuses) {
  const auto warned = decode(R"({"features":[1],"user":"a","featurs":[2]})", table(1));
  ASSERT_TRUE(warned.result);
  ASSERT_EQ(warned.request->warnings.size(), 2U);
  EXPECT_NE(warned.request->warnings[0].find("'user_id'"), std::string::npos);
  EXPECT_NE(warned.request->warnings[1].find("'features'"), std::string::npos);
  EXPECT_EQ(decode(R"({"features":[1],"user":"a"})", table(1), true).reason(), "unknown_key");
}

TEST(SimpleJson, TheOtherKeys) {
  const auto all =
      decode(R"({"user_id":42,"entity_id":"e","cache_key":"k","true_label":1,"debug":true,)"
             R"("request_id":"r\u00e9","features":[1]})",
             table(1));
  ASSERT_TRUE(all.result);
  EXPECT_EQ(all.request->user_id, "42");
  EXPECT_EQ(all.request->true_label, 1.0);
  EXPECT_TRUE(all.request->debug);
  EXPECT_EQ(all.request->request_id, "r\xC3\xA9");
  EXPECT_EQ(decode(R"({"features":[1],"debug":1})", table(1)).reason(), "wrong_type");
  EXPECT_EQ(decode(R"({"features":[1],"user_id":[]})", table(1)).reason(), "wrong_type");
}

TEST(SimpleJson, FeaturesCanBeReadAgainForAnotherVersion) {
  auto decoded = decode(R"({"user_id":"u","features":[1,2]})", table(2));
  ASSERT_TRUE(decoded.result);
  const auto other = table(2, DType::kInt64);
  ASSERT_TRUE(decoded.request->rebind(*decoded.request, other));
  EXPECT_EQ(decoded.request->inputs[0].dtype, DType::kInt64);
  EXPECT_FALSE(decoded.request->rebind(*decoded.request, table(3)));
}

TEST(SimpleJson, AnswersHaveTheContractsForm) {
  Request request;
  request.request_id = "r1";
  const double value = 1;
  const double confidence = 0.97F;
  const std::string_view label = "malignant";
  auto& prediction = request.reply.prediction;
  prediction.rows = 1;
  prediction.single_precision = true;
  prediction.values = {&value, 1};
  prediction.confidences = {&confidence, 1};
  prediction.labels = {&label, 1};
  std::string out;
  encode_simple_json(request, "fraud", "v2", out);
  EXPECT_EQ(out, R"({"prediction":1.0,"confidence":0.97,"model":"fraud","model_version":"v2",)"
                 R"("request_id":"r1","label":"malignant"})");
  out.clear();
  encode_simple_error(
      {Code::kInvalidArgument, "bounds", "too old", {{"age", 150, 0.0, std::nullopt, "above 120"}}},
      out);
  EXPECT_EQ(
      out,
      R"({"error":{"code":"bounds","message":"too old",)"
      R"("details":[{"feature":"age","value":150.0,"bounds":[0.0,null],"problem":"above 120"}]}})");
}

}  // namespace
}  // namespace sluice::codecs
