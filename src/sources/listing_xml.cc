#include "sources/listing_xml.h"

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

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
  out.folders = static_cast<std::size_t>(std::ranges::distance(root.children("CommonPrefixes")));
  if (std::string_view(root.child_value("IsTruncated")) == "true") {
    out.next = root.child_value("NextContinuationToken");
    if (out.next.empty()) {
      return unavailable("not_a_store", "the listing is cut off and does not say how it goes on");
    }
  }
  return out;
}

Result<std::string> read_upload_id(std::string_view xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  std::string out = document.child("InitiateMultipartUploadResult").child_value("UploadId");
  if (!out.empty()) return out;
  return unavailable("not_a_store",
                     "the answer does not name the upload; is the endpoint that of an S3 store?");
}

std::string write_completion(const std::vector<UploadedPart>& parts) {
  pugi::xml_document document;
  auto root = document.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (const auto& part : parts) {
    auto node = root.append_child("Part");
    node.append_child("PartNumber").text() = part.number;
    node.append_child("ETag").text() = part.etag.c_str();
  }
  std::ostringstream out;
  document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
  return out.str();
}

Result<std::string> read_completion(std::string_view xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  std::string out = document.child("CompleteMultipartUploadResult").child_value("ETag");
  if (!out.empty()) return out.starts_with('"') ? out : '"' + out + '"';
  if (document.child("Error")) {
    return unavailable("store_busy", "the store could not put the uploaded parts together");
  }
  return unavailable("not_a_store",
                     "the answer is none to an upload; is the endpoint that of an S3 store?");
}

std::string error_word(std::string_view xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  return document.child("Error").child_value("Code");
}

std::string error_region(std::string_view xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  return document.child("Error").child_value("Region");
}

}  // namespace sluice::sources
