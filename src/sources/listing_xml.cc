#include "sources/listing_xml.h"

#include <algorithm>
#include <pugixml.hpp>

#include "base/text.h"
#include "clients/http.h"

namespace sluice::sources {
namespace {

std::string text_of(const pugi::xml_node& node, const char* name, bool coded) {
  std::string text = node.child_value(name);
  if (coded) std::ranges::replace(text, '+', ' ');
  return coded ? clients::percent_decode(text) : text;
}

}  // namespace

Result<ListingPage> read_listing(std::string_view xml) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  const auto root = document.child("ListBucketResult");
  if (!parsed || !root) {
    return unavailable(
        "not_a_store",
        "the answer is no listing of a bucket; is the endpoint that of an S3 store?");
  }
  ListingPage out;
  const bool coded = std::string_view(root.child_value("EncodingType")) == "url";
  for (const auto& contents : root.children("Contents")) {
    const auto size = parse_uint(contents.child_value("Size"));
    if (!size) return unavailable("not_a_store", "the listing has an object without a size");
    Object object;
    object.key = text_of(contents, "Key", coded);
    object.size = *size;
    object.etag = contents.child_value("ETag");
    if (!object.etag.empty() && !object.etag.starts_with('"') && !object.etag.starts_with("W/")) {
      object.etag = '"' + object.etag + '"';
    }
    out.objects.push_back(std::move(object));
  }
  if (std::string_view(root.child_value("IsTruncated")) == "true") {
    out.next = root.child_value("NextContinuationToken");
    if (out.next.empty()) {
      return unavailable("not_a_store", "the listing is cut off and does not say how it goes on");
    }
  }
  return out;
}

}  // namespace sluice::sources
