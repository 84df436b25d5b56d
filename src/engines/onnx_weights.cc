#include "engines/onnx_weights.h"

#include <map>
#include <optional>
#include <set>

#include "base/checked.h"
#include "base/protowire.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

// Field numbers of onnx/onnx.proto.
constexpr std::uint32_t kGraph = 7;        // ModelProto
constexpr std::uint32_t kNode = 1;         // GraphProto
constexpr std::uint32_t kInitializer = 5;  // GraphProto
constexpr std::uint32_t kOutput = 12;      // GraphProto
constexpr std::uint32_t kSparse = 15;      // GraphProto
constexpr std::uint32_t kDims = 1;         // TensorProto, as all below
constexpr std::uint32_t kDataType = 2;
constexpr std::uint32_t kName = 8;
constexpr std::uint32_t kRawData = 9;
constexpr std::uint32_t kDocString = 12;
constexpr std::uint32_t kExternalData = 13;
constexpr std::uint32_t kDataLocation = 14;
constexpr std::uint32_t kMetadata = 16;

// Bytes of an element; 0 for types that are not taken out (strings, parts of a byte).
std::uint64_t element_size(int type) {
  switch (type) {
    case 2:  // uint8
    case 3:  // int8
    case 9:  // bool
      return 1;
    case 4:   // uint16
    case 5:   // int16
    case 10:  // float16
    case 16:  // bfloat16
      return 2;
    case 1:   // float
    case 6:   // int32
    case 12:  // uint32
      return 4;
    case 7:   // int64
    case 11:  // double
    case 13:  // uint64
      return 8;
    default: return 0;
  }
}

// Calls `use` with each field and its bytes as they stand in the message, tag and all. False where
// the bytes are no message.
template <class Use>
bool each(std::string_view bytes, Use use) {
  WireReader reader(bytes);
  std::size_t at = 0;
  while (reader.next()) {
    const std::size_t end = bytes.size() - reader.left();
    use(reader, bytes.substr(at, end - at));
    at = end;
  }
  return reader.ok();
}

bool read_dims(const WireReader& r, std::vector<std::int64_t>& out) {
  if (r.type() != WireReader::Type::kBytes) {
    out.push_back(static_cast<std::int64_t>(r.number()));
    return true;
  }
  WireReader packed(r.bytes());
  while (!packed.at_end() && packed.ok()) {
    out.push_back(static_cast<std::int64_t>(packed.varint()));
  }
  return packed.ok();
}

// Nothing where it does not fit into a number.
std::optional<std::uint64_t> bytes_of(const OnnxWeight& weight) {
  std::uint64_t size = element_size(weight.type);
  for (const auto dim : weight.dims) {
    const auto more = checked_mul(size, static_cast<std::uint64_t>(dim));
    if (dim < 0 || !more) return std::nullopt;
    size = *more;
  }
  return size;
}

struct Tensor {
  OnnxWeight weight;
  int raws = 0;                                        // fields of data
  bool elsewhere = false;                              // the data lie in a file of their own
  std::map<std::string_view, std::string_view> place;  // and where
};

bool read_place(std::string_view entry, Tensor& out) {
  std::string_view key;
  std::string_view value;
  const bool ok = each(entry, [&](const WireReader& r, std::string_view) {
    if (r.field() == 1) key = r.bytes();
    if (r.field() == 2) value = r.bytes();
  });
  const bool known = key == "location" || key == "offset" || key == "length";
  return ok && known && out.place.emplace(key, value).second;
}

// Nothing for a tensor that holds anything out of the ordinary.
std::optional<Tensor> read_tensor(std::string_view bytes) {
  Tensor out;
  bool plain = true;
  const bool ok = each(bytes, [&](const WireReader& r, std::string_view) {
    switch (r.field()) {
      case kDims: plain = read_dims(r, out.weight.dims) && plain; break;
      case kDataType: out.weight.type = static_cast<int>(r.number()); break;
      case kName: out.weight.name = r.bytes(); break;
      case kRawData:
        out.weight.data = r.bytes();
        ++out.raws;
        break;
      case kDocString:
      case kMetadata: break;
      case kExternalData: plain = read_place(r.bytes(), out) && plain; break;
      case kDataLocation: out.elsewhere = r.number() == 1; break;
      default: plain = false;
    }
  });
  if (!ok || !plain || out.weight.name.empty()) return std::nullopt;
  return out;
}

// The tensor's data, found in the file that it names.
std::optional<std::string_view> look_up(const Tensor& tensor, const OnnxFiles& files) {
  const auto text = [&](std::string_view key, std::string_view otherwise) {
    const auto found = tensor.place.find(key);
    return found == tensor.place.end() ? otherwise : found->second;
  };
  const auto file = files.find(std::string(text("location", "")));
  const auto size = bytes_of(tensor.weight);
  if (file == files.end() || !size) return std::nullopt;
  const auto offset = parse_uint(text("offset", "0"));
  const auto length = parse_uint(text("length", std::to_string(*size)));
  if (!offset || !length || *length != *size) return std::nullopt;
  const auto end = checked_add(*offset, *size);
  if (!end || *end > file->second.size()) return std::nullopt;
  return file->second.substr(*offset, *size);
}

// The file that all weights are taken out of.
struct Whole {
  std::string_view bytes;
  std::string_view location;  // what it is called
};

// The tensor as one whose data lie elsewhere: everything but the data, and where they are.
std::string without_data(std::string_view bytes, std::string_view data, const Whole& file) {
  std::string out;
  each(bytes, [&](const WireReader& r, std::string_view whole) {
    if (r.field() != kRawData) out += whole;
  });
  WireWriter writer(out);
  const auto entry = [&](std::string_view key, std::string_view value) {
    std::string text;
    WireWriter pair(text);
    pair.bytes(1, key);
    pair.bytes(2, value);
    writer.bytes(kExternalData, text);
  };
  entry("location", file.location);
  entry("offset", std::to_string(data.data() - file.bytes.data()));
  entry("length", std::to_string(data.size()));
  writer.number(kDataLocation, 1);  // EXTERNAL
  return out;
}

constexpr int kMaxDepth = 64;  // of graphs in attributes of nodes in graphs …

struct Names {
  std::map<std::string_view, int> given;  // to an initializer, dense or sparse: how often
  std::set<std::string_view> used;        // at any depth
};

void read_tensor_name(std::string_view tensor, Names& names) {
  each(tensor, [&](const WireReader& r, std::string_view) {
    if (r.field() == kName) ++names.given[r.bytes()];
  });
}

void read_uses(std::string_view graph, int depth, Names& names);

void read_node(std::string_view node, int depth, Names& names) {
  each(node, [&](const WireReader& r, std::string_view) {
    if (r.field() == 1) names.used.insert(r.bytes());
    if (r.field() != 5) return;
    each(r.bytes(), [&](const WireReader& attribute, std::string_view) {
      const bool graph = attribute.field() == 6 || attribute.field() == 11;
      if (graph) read_uses(attribute.bytes(), depth + 1, names);
    });
  });
}

void read_uses(std::string_view graph, int depth, Names& names) {
  if (depth > kMaxDepth) return;
  each(graph, [&](const WireReader& r, std::string_view) {
    if (r.field() == kNode) read_node(r.bytes(), depth, names);
    if (r.field() != kOutput) return;
    each(r.bytes(), [&](const WireReader& value, std::string_view) {
      if (value.field() == 1) names.used.insert(value.bytes());
    });
  });
}

Names read_names(std::string_view graph) {
  Names out;
  read_uses(graph, 0, out);
  each(graph, [&](const WireReader& r, std::string_view) {
    if (r.field() == kInitializer) read_tensor_name(r.bytes(), out);
    if (r.field() != kSparse) return;
    each(r.bytes(), [&](const WireReader& values, std::string_view) {
      if (values.field() == 1) read_tensor_name(values.bytes(), out);
    });
  });
  return out;
}

// ONNX Runtime forgets what nobody uses, and would miss it.
bool can_be_named(const OnnxWeight& weight, const Names& names) {
  const auto given = names.given.find(weight.name);
  return given != names.given.end() && given->second == 1 && names.used.contains(weight.name);
}

// A large weight that can be taken out.
std::optional<OnnxWeight> read_weight(std::string_view tensor, std::size_t least,
                                      const Names& names) {
  if (tensor.size() < least) return std::nullopt;
  auto read = read_tensor(tensor);
  if (!read || read->raws != 1 || read->elsewhere || !read->place.empty()) return std::nullopt;
  auto& weight = read->weight;
  if (weight.data.size() < least || bytes_of(weight) != weight.data.size()) return std::nullopt;
  if (!can_be_named(weight, names)) return std::nullopt;
  return std::move(weight);
}

// A large weight that lies in one of `files`.
std::optional<OnnxWeight> find_weight(std::string_view tensor, const OnnxFiles& files,
                                      std::size_t least, const Names& names) {
  auto read = read_tensor(tensor);
  if (!read || read->raws != 0 || !read->elsewhere) return std::nullopt;
  const auto data = look_up(*read, files);
  if (!data || data->size() < least || !can_be_named(read->weight, names)) return std::nullopt;
  read->weight.data = *data;
  return std::move(read->weight);
}

// The graph without its large weights, which go to `weights`; none go where most of the graph is
// something else, which copying would gain nothing for.
std::string thin_graph(std::string_view graph, std::size_t least, const Whole& file,
                       std::vector<OnnxWeight>& weights) {
  const auto names = read_names(graph);
  const std::size_t most = graph.size() / 2;
  bool thin = true;
  std::string out;
  WireWriter writer(out);
  each(graph, [&](const WireReader& r, std::string_view whole) {
    if (!thin) return;
    std::optional<OnnxWeight> weight;
    if (r.field() == kInitializer) weight = read_weight(r.bytes(), least, names);
    if (!weight) {
      thin = whole.size() <= most && out.size() <= most - whole.size();
      if (thin) out += whole;
      return;
    }
    writer.bytes(kInitializer, without_data(r.bytes(), weight->data, file));
    weights.push_back(std::move(*weight));
  });
  if (!thin) weights.clear();
  return out;
}

}  // namespace

OnnxParts take_out_weights(std::string_view bytes, std::size_t least, std::string_view location) {
  OnnxParts out;
  WireWriter writer(out.rest);
  int graphs = 0;
  const bool ok = each(bytes, [&](const WireReader& r, std::string_view whole) {
    if (r.field() != kGraph) {
      out.rest += whole;
    } else if (++graphs == 1) {
      writer.bytes(kGraph, thin_graph(r.bytes(), least, {bytes, location}, out.weights));
    }
  });
  // Protobuf makes one graph of several; nobody writes such files.
  if (!ok || graphs != 1 || out.weights.empty()) return {};
  return out;
}

std::vector<OnnxWeight> find_weights(std::string_view bytes, const OnnxFiles& files,
                                     std::size_t least) {
  std::vector<OnnxWeight> out;
  int graphs = 0;
  const bool ok = each(bytes, [&](const WireReader& r, std::string_view) {
    if (r.field() != kGraph || ++graphs > 1) return;
    const auto names = read_names(r.bytes());
    each(r.bytes(), [&](const WireReader& tensor, std::string_view) {
      if (tensor.field() != kInitializer) return;
      if (auto found = find_weight(tensor.bytes(), files, least, names)) {
        out.push_back(std::move(*found));
      }
    });
  });
  if (!ok || graphs != 1) out.clear();
  return out;
}

}  // namespace sluice::engines
