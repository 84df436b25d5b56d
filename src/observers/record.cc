#include "observers/record.h"

#include <algorithm>
#include <cstring>

#include "core/servable.h"

namespace sluice::observers {
namespace {

constexpr std::size_t kMostTexts = 16;
constexpr std::size_t kMostText = 1024;

std::size_t rounded(std::size_t size) { return (size + 7) / 8 * 8; }

// Adds up, as Writer would write.
class Measure {
 public:
  void bytes(const void*, std::size_t size) { size_ += rounded(size); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}
  void bytes(const void* data, std::size_t size) {
    if (size > 0) std::memcpy(out_.data(), data, size);
    out_ = out_.subspan(rounded(size));
  }

 private:
  std::span<std::byte> out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  std::span<const std::byte> bytes(std::size_t size) {
    const auto out = in_.first(size);
    in_ = in_.subspan(rounded(size));
    return out;
  }
  template <class T>
  T value() {
    T out;
    std::memcpy(static_cast<void*>(&out), bytes(sizeof out).data(), sizeof out);
    return out;
  }
  std::string_view text() {
    const auto size = value<std::uint64_t>();
    return {reinterpret_cast<const char*>(bytes(size).data()), size};
  }
  std::span<const double> doubles() {
    const auto count = value<std::uint64_t>();
    return {reinterpret_cast<const double*>(bytes(count * sizeof(double)).data()), count};
  }

 private:
  std::span<const std::byte> in_;
};

template <class Out, class T>
void put(Out& out, const T& value) {
  out.bytes(&value, sizeof value);
}

template <class Out>
void put_text(Out& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  out.bytes(text.data(), text.size());
}

template <class Out>
void put_doubles(Out& out, std::span<const double> numbers) {
  put(out, std::uint64_t{numbers.size()});
  out.bytes(numbers.data(), numbers.size_bytes());
}

template <class Out, class Texts>
void put_texts(Out& out, const Texts& texts) {
  const std::uint64_t count = std::min(texts.size(), kMostTexts);
  put(out, count);
  for (std::size_t i = 0; i < count; ++i) {
    put_text(out, std::string_view(texts[i]).substr(0, kMostText));
  }
}

struct TensorHead {
  DType dtype;
  Shape shape;
  std::uint64_t size;  // bytes, or texts
};

template <class Out>
void put_tensor(Out& out, const TensorView& tensor) {
  const bool text = tensor.dtype == DType::kString;
  put(out,
      TensorHead{tensor.dtype, tensor.shape, text ? tensor.strings.size() : tensor.data.size()});
  out.bytes(tensor.data.data(), tensor.data.size());
  for (const auto each : tensor.strings) put_text(out, each);
}

template <class Out>
void put_fetched(Out& out, const Request& request) {
  const auto& entities = request.ask->entities;
  put(out, std::uint64_t{entities.size()});
  for (const auto entity : entities) put_text(out, entity);
  put(out, std::uint64_t{request.feature_times.size()});
  out.bytes(request.feature_times.data(), request.feature_times.size_bytes());
}

template <class Out>
void put_all(Out& out, const Request& request, const Record::Head& head) {
  put(out, head);
  put_text(out, request.servable->model().str());
  put_text(out, request.servable->version().str());
  put_text(out, request.request_id);
  put_text(out, request.user_id);
  const auto& error = request.reply.error;
  put_text(out, error ? error->reason : std::string_view());
  put_text(out, error ? std::string_view(error->message).substr(0, kMostText) : "");
  put(out, std::uint64_t{head.inputs_left_out ? 0 : request.inputs.size()});
  if (!head.inputs_left_out) {
    for (const auto& input : request.inputs) put_tensor(out, input);
  }
  const Prediction& prediction = request.reply.prediction;
  const bool answered = !error && prediction.rows > 0;
  put(out, answered ? prediction.row_shape : Shape());
  put_doubles(out, answered ? prediction.values : std::span<const double>());
  put_doubles(out, answered ? prediction.confidences : std::span<const double>());
  put_doubles(out, answered ? prediction.probabilities : std::span<const double>());
  const auto labels = answered ? prediction.labels : std::span<const std::string_view>();
  put(out, std::uint64_t{labels.size()});
  for (const auto label : labels) put_text(out, label);
  put_texts(out, request.warnings);
  if (head.fetched) put_fetched(out, request);
}

void read_tensors(Reader& in, Record& record) {
  record.inputs.resize(in.value<std::uint64_t>());
  record.texts.clear();
  for (auto& tensor : record.inputs) {
    const auto head = in.value<TensorHead>();
    tensor = {head.dtype, head.shape, {}, {}};
    if (head.dtype == DType::kString) {
      for (std::size_t i = 0; i < head.size; ++i) record.texts.push_back(in.text());
    } else {
      tensor.data = in.bytes(head.size);
    }
  }
  // Once all are there: their place in memory is known.
  std::span<const std::string_view> left(record.texts);
  for (auto& tensor : record.inputs) {
    if (tensor.dtype != DType::kString) continue;
    std::size_t count = 1;
    for (const auto dim : tensor.shape.dims()) count *= static_cast<std::size_t>(dim);
    tensor.strings = left.first(std::min(count, left.size()));
    left = left.subspan(tensor.strings.size());
  }
}

void read_texts(Reader& in, std::vector<std::string_view>& out) {
  out.resize(in.value<std::uint64_t>());
  for (auto& text : out) text = in.text();
}

}  // namespace

std::size_t packed_size(const Request& request, const Record::Head& head) {
  Measure measure;
  put_all(measure, request, head);
  return measure.size();
}

void pack(const Request& request, const Record::Head& head, std::span<std::byte> out) {
  Writer writer(out);
  put_all(writer, request, head);
}

void unpack(std::span<const std::byte> bytes, Record& record) {
  Reader in(bytes);
  record.head = in.value<Record::Head>();
  for (std::string_view* text : {&record.model, &record.version, &record.request_id,
                                 &record.user_id, &record.reason, &record.message}) {
    *text = in.text();
  }
  read_tensors(in, record);
  record.row_shape = in.value<Shape>();
  record.values = in.doubles();
  record.confidences = in.doubles();
  record.probabilities = in.doubles();
  read_texts(in, record.labels);
  read_texts(in, record.warnings);
  record.entities.clear();
  record.times = {};
  if (!record.head.fetched) return;
  read_texts(in, record.entities);
  const auto times = in.value<std::uint64_t>();
  record.times = {
      reinterpret_cast<const std::int64_t*>(in.bytes(times * sizeof(std::int64_t)).data()), times};
}

}  // namespace sluice::observers
