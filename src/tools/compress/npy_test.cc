#include "tools/compress/npy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/base64.h"
#include "clients/testing/tables.h"
#include "tools/compress/npy_header.h"
#include "tools/compress/testing/signatures.h"

namespace sluice::tools::compress {
namespace {

using Strings = std::vector<std::string>;
using Numbers = std::vector<double>;

// A file as numpy.save writes it, with any header.
std::string npy(const std::string& header, const std::string& elements, char version = 1) {
  std::string out = "\x93NUMPY";
  out += version;
  out += '\0';
  const std::size_t digits = version == 1 ? 2 : 4;
  for (std::size_t i = 0; i < digits; ++i) {
    out += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  }
  return out + header + elements;
}

std::string header(const std::string& descr, const std::string& shape,
                   const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

template <class T>
std::string bytes(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(std::data(values)), values.size() * sizeof(T)};
}

class Npy : public clients::Tables {
 protected:
  Result<Dataset> read(const Signature& signature, const std::string& file_bytes,
                       DatasetOptions options = {}) {
    options.file = put("x.npy", file_bytes).string();
    return read_dataset(signature, options);
  }
  // What is wrong, as "reason: message".
  std::string fault(const Signature& signature, const std::string& file_bytes,
                    DatasetOptions options = {}) {
    const auto got = read(signature, file_bytes, std::move(options));
    return got ? "nothing" : std::string(got.error().reason) + ": " + got.error().message;
  }
  std::string fault(const std::string& file_bytes) { return fault(two_, file_bytes); }

  // Written by numpy 1.24.2's save, in base64.
  Result<Dataset> read64(const Signature& signature, std::string_view base64) {
    return read(signature, decoded(base64));
  }
  static std::string decoded(std::string_view base64) { return decode_base64(base64).value(); }

  const Signature two_ = signature({input("x", {-1, 2})});
};

// numpy.array([[1.5, -2], [3, nan]], 'f4')
TEST_F(Npy, ReadsWhatNumpyWrites) {
  const auto data = read64(
      two_,
      "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDIpLC"
      "B9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAMA/AAAA"
      "wAAAQEAAAMB/");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->rows(), 2U);
  ASSERT_EQ(data->batches().size(), 1U);
  EXPECT_EQ(data->batches()[0].inputs[0].shape, (Shape{2, 2}));
  const auto got = values(*data);
  EXPECT_EQ(Numbers(got.begin(), got.end() - 1), (Numbers{1.5, -2, 3}));
  EXPECT_TRUE(std::isnan(got.back()));
  EXPECT_FALSE(data->labelled());
}

// numpy.array([[2**53 + 1, -7]], 'i8')
TEST_F(Npy, WholeNumbersStayExact) {
  const auto data = read64(
      signature({input("x", {-1, 2}, DType::kInt64)}),
      "k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIpLC"
      "B9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAAAAAAg"
      "APn/////////");
  ASSERT_TRUE(data) << data.error().message;
  const auto got = data->batches()[0].inputs[0].as<std::int64_t>();
  EXPECT_EQ(got[0], 9007199254740993);
  EXPECT_EQ(got[1], -7);
}

// numpy.lib.format.write_array(file, numpy.array([[.5], [65504]], 'f2'), version=(2, 0)), and of
// numpy.array([1, 0, 1], '?') version (3, 0).
TEST_F(Npy, ReadsAllVersions) {
  const auto halves = read64(
      signature({input("x", {-1, 1})}),
      "k05VTVBZAgB0AAAAeydkZXNjcic6ICc8ZjInLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMiwgMS"
      "ksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAOP97");
  ASSERT_TRUE(halves) << halves.error().message;
  EXPECT_EQ(values(*halves), (Numbers{0.5, 65504}));
  const auto truths = read64(
      signature({input("x", {-1}, DType::kBool)}),
      "k05VTVBZAwB0AAAAeydkZXNjcic6ICd8YjEnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMywpLC"
      "B9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAE=");
  ASSERT_TRUE(truths) << truths.error().message;
  EXPECT_EQ(truths->rows(), 3U);
  EXPECT_EQ(values(*truths), (Numbers{1, 0, 1}));
}

// numpy.array([[1, None]], object); asfortranarray([[1., 2], [3, 4]]); array([[1., 2]], '>f4').
TEST_F(Npy, RefusesProgramsAndOtherOrders) {
  EXPECT_NE(fault(decoded("k05VTVBZAQB2AHsnZGVzY3InOiAnfE8nLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hh"
                          "cGUnOiAoMSwgMiksIH"
                          "0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
                          "AgICAgIAqAA2NudW1w"
                          "eS5jb3JlLm11bHRpYXJy"))
                .find("bad_table: 'x.npy' holds Python objects, which are programs"),
            std::string::npos);
  EXPECT_NE(fault(decoded("k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hh"
                          "cGUnOiAoMiwgMiksIH"
                          "0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
                          "AgICAgIAoAAAAAAADw"
                          "PwAAAAAAAAhAAAAAAAAAAEAAAAAAAAAQQA=="))
                .find("bad_table: 'x.npy' has its elements column by column"),
            std::string::npos);
  EXPECT_NE(fault(decoded("k05VTVBZAQB2AHsnZGVzY3InOiAnPmY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3No"
                          "YXBlJzogKDEsIDIpLC"
                          "B9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
                          "AgICAgIAo/gAAAQAAA"
                          "AA=="))
                .find("bad_table: 'x.npy' has its bytes in big-endian order"),
            std::string::npos);
}

TEST_F(Npy, EachTypeIsConverted) {
  const auto one = [&](const std::string& descr, const std::string& elements) {
    const auto data = read(two_, npy(header(descr, "(1, 2)"), elements));
    return data ? values(*data) : Numbers();
  };
  const Numbers expected = {3, 200};
  EXPECT_EQ(one("|u1", bytes<std::uint8_t>({3, 200})), expected);
  EXPECT_EQ(one("<u2", bytes<std::uint16_t>({3, 200})), expected);
  EXPECT_EQ(one("<u4", bytes<std::uint32_t>({3, 200})), expected);
  EXPECT_EQ(one("<u8", bytes<std::uint64_t>({3, 200})), expected);
  EXPECT_EQ(one("|i1", bytes<std::int8_t>({-3, 100})), (Numbers{-3, 100}));
  EXPECT_EQ(one("<i2", bytes<std::int16_t>({-3, 200})), (Numbers{-3, 200}));
  EXPECT_EQ(one("<i4", bytes<std::int32_t>({3, 200})), expected);
  EXPECT_EQ(one("<i8", bytes<std::int64_t>({3, 200})), expected);
  EXPECT_EQ(one("<f8", bytes<double>({3, 200})), expected);
  EXPECT_EQ(one(">i1", bytes<std::int8_t>({3, 4})), (Numbers{3, 4}));  // no order to have
}

TEST_F(Npy, RowsThatDoNotFitAreLeftOutWithTheirLabels) {
  const auto labels = put("y.npy", npy(header("<i4", "(3,)"), bytes<std::int32_t>({7, 8, 9})));
  DatasetOptions options;
  options.label = labels.string();
  options.label_given = true;
  const auto data =
      read(two_, npy(header("<f8", "(3, 2)"), bytes<double>({1, 2, 1e300, 3, 4, 5})), options);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data), (Numbers{1, 2, 4, 5}));
  EXPECT_EQ(data->labels(), (Strings{"7", "9"}));
  ASSERT_EQ(data->notes().size(), 1U);
  EXPECT_EQ(data->notes()[0],
            "1 rows of 'x.npy' were left out, which the model cannot take; the first: input 'x' is "
            "too large for FP32");
  const auto none = fault(signature({input("x", {-1, 1}, DType::kUint8)}),
                          npy(header("<f4", "(2, 1)"), bytes<float>({0.5, NAN})));
  EXPECT_EQ(none,
            "empty_table: 'x.npy' has no row that the model can take: input 'x' is no whole "
            "number, and the model takes UINT8");
}

TEST_F(Npy, LabelsThatAreNoNumbersAreNone) {
  DatasetOptions options;
  options.label = put("y.npy", npy(header("<f8", "(2, 1)"), bytes<double>({NAN, 2.5}))).string();
  options.label_given = true;
  const auto data = read(two_, npy(header("<f4", "(2, 2)"), bytes<float>({1, 2, 3, 4})), options);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->labels(), (Strings{"", "2.5"}));
}

TEST_F(Npy, ShapesOfRows) {
  const auto eight = bytes<float>({1, 2, 3, 4, 5, 6, 7, 8});
  const auto image = signature({input("x", {-1, 1, 2, 2})});
  for (const auto* shape : {"(2, 1, 2, 2)", "(2, 4)"}) {
    const auto data = read(image, npy(header("<f4", shape), eight));
    ASSERT_TRUE(data) << data.error().message;
    EXPECT_EQ(data->batches()[0].inputs[0].shape, (Shape{2, 1, 2, 2}));
  }
  const auto free =
      read(signature({input("x", {-1, -1, -1})}), npy(header("<f4", "(1, 4, 2)"), eight));
  ASSERT_TRUE(free) << free.error().message;
  EXPECT_EQ(free->batches()[0].inputs[0].shape, (Shape{1, 4, 2}));
  const auto fault = [&](const Signature& model, const char* shape) {
    return this->fault(model, npy(header("<f4", shape), eight));
  };
  EXPECT_EQ(fault(image, "(2, 2, 2)"),
            "wrong_columns: 'x.npy' has the shape [2,2,2], and the model takes FP32 [N,1,2,2]; the "
            "first dimension is the rows'");
  EXPECT_TRUE(fault(image, "(1, 8)").starts_with("wrong_columns"));
  EXPECT_TRUE(fault(image, "(8,)").starts_with("wrong_columns"));
  EXPECT_TRUE(fault(signature({input("a", {-1, 4}), input("b", {-1, 4})}), "(2, 4)")
                  .starts_with("wrong_columns: the model has 2 inputs"));
  EXPECT_TRUE(fault(signature({input("x", {-1, 4}, DType::kString)}), "(2, 4)")
                  .starts_with("wrong_columns"));
}

TEST_F(Npy, AFixedBatchOfOneGetsRowsOneByOne) {
  const auto data = read(signature({input("x", {1, 2})}),
                         npy(header("<f4", "(2, 2)"), bytes<float>({1, 2, 3, 4})));
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->batches().size(), 2U);
  EXPECT_EQ(data->batches()[1].first, 1U);
  EXPECT_EQ(data->batches()[1].inputs[0].shape, (Shape{1, 2}));
}

TEST_F(Npy, ReadsNoMoreThanIsAskedFor) {
  DatasetOptions options;
  options.most_rows = 3;
  options.batch = 2;
  const auto data = read(signature({input("x", {-1, 1})}),
                         npy(header("<f4", "(5, 1)"), bytes<float>({1, 2, 3, 4, 5})), options);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(values(*data), (Numbers{1, 2, 3}));
  EXPECT_EQ(data->batches().size(), 2U);
  EXPECT_EQ(data->notes(), (Strings{"of 5 rows of 'x.npy' the first 3 were used"}));
}

TEST_F(Npy, RefusesWhatIsNoArray) {
  const auto good = npy(header("<f4", "(1, 2)"), bytes<float>({1, 2}));
  EXPECT_EQ(fault(good), "nothing");
  EXPECT_TRUE(fault("").starts_with("bad_table: 'x.npy' is no array"));
  EXPECT_TRUE(fault("PK\x03\x04 and so on").starts_with("bad_table: 'x.npy' is no array"));
  for (std::size_t cut : {7U, 11U, 20U}) {
    EXPECT_TRUE(
        fault(good.substr(0, cut)).starts_with("bad_table: 'x.npy' is cut off in its header"))
        << cut;
  }
  EXPECT_EQ(fault(good.substr(0, good.size() - 1)),
            "bad_table: 'x.npy' is cut off: it has 7 bytes of elements, and its header says 8");
  EXPECT_EQ(fault(good + "x"),
            "bad_table: 'x.npy' goes on: it has 9 bytes of elements, and its header says 8");
  auto version = good;
  version[6] = 4;
  EXPECT_TRUE(fault(version).starts_with("bad_table: 'x.npy' is of version 4"));
}

TEST_F(Npy, HeadersThatLie) {
  const auto elements = bytes<float>({1, 2});
  // A length that reaches behind the end, and the greatest that there is.
  auto longer = npy(header("<f4", "(1, 2)"), elements);
  longer[9] = '\x7F';
  EXPECT_TRUE(fault(longer).starts_with("bad_table"));
  auto longest = npy(header("<f4", "(1, 2)"), elements, 2);
  for (int i = 8; i < 12; ++i) longest[i] = '\xFF';
  EXPECT_TRUE(fault(longest).starts_with("bad_table"));
  for (const auto* shape :
       {"(4611686018427387904, 4)", "(9223372036854775807, 2)", "(4294967296, 4294967296, 2)"}) {
    EXPECT_TRUE(fault(npy(header("<f4", shape), elements))
                    .starts_with("bad_table: 'x.npy' has a shape that is too large"))
        << shape;
  }
  for (const auto* shape :
       {"(-1, 2)", "(1, 2", "1, 2", "(1 2)", "(1, x)", "()()", "(1e3,)", "(99999999999999999999,)",
        "(__import__('os'),)", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"}) {
    EXPECT_TRUE(fault(npy(header("<f4", shape), elements)).starts_with("bad_table")) << shape;
  }
  EXPECT_TRUE(fault(npy(header("<f4", "()"), bytes<float>({1}))).starts_with("wrong_columns"));
  EXPECT_TRUE(fault(npy(header("<f4", "(0, 2)"), "")).starts_with("empty_table"));
}

TEST_F(Npy, HeadersThatAreNoDictOfThese) {
  const auto elements = bytes<float>({1, 2});
  for (const auto* text :
       {"", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} x",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), 'more': 1}"}) {
    EXPECT_TRUE(fault(npy(text, elements)).starts_with("bad_table")) << text;
  }
  // Spaces and a comma more or less are Python's freedom.
  EXPECT_EQ(fault(npy("{\"shape\":(1,2),'fortran_order' :False , 'descr':'<f4'}", elements)),
            "nothing");
  for (const auto* descr : {"<c8", "<U1", "|S4", "<M8[ns]", "<f16", "<i3", "|V8", "", "<"}) {
    const auto said = fault(npy(header(descr, "(1, 2)"), elements));
    EXPECT_TRUE(said.starts_with("bad_table: 'x.npy' has elements of type")) << descr << said;
  }
  EXPECT_TRUE(fault(npy("{'descr': [('a', '<i4'), ('b', '<f8')], 'fortran_order': False, 'shape': "
                        "(1,), }",
                        std::string(12, '\0')))
                  .starts_with("bad_table"));
}

TEST_F(Npy, FilesThatAreNotThere) {
  DatasetOptions options;
  options.file = (root_ / "none.npy").string();
  const auto none = read_dataset(two_, options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "no_table");
  options.file = (root_ / "folder.npy").string();
  std::filesystem::create_directory(options.file);
  const auto folder = read_dataset(two_, options);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().reason, "bad_table");
}

TEST_F(Npy, LabelsMustBeAnArrayOfAsManyRows) {
  const auto good = npy(header("<f4", "(1, 2)"), bytes<float>({1, 2}));
  DatasetOptions options;
  options.label = put("y.npy", npy(header("<f4", "(2,)"), bytes<float>({1, 2}))).string();
  // Of other rows' labels nothing is asked.
  EXPECT_EQ(fault(two_, good, options), "nothing");
  options.label_given = true;
  EXPECT_EQ(fault(two_, good, options),
            "wrong_columns: 'y.npy' has the shape [2]; expected a label for each of 1 rows");
  options.label = "label";
  EXPECT_TRUE(fault(two_, good, options).starts_with("unknown_column"));
}

}  // namespace
}  // namespace sluice::tools::compress
