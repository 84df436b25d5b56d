// A store of objects that can also be written.
//
// As with reading (sources/object_store.h), each function tries once: when to try again, what goes
// in parts and what is left behind is the business of whoever uploads (sources/upload.h).
//
// Every body is sent with its MD5 (Content-MD5) and signed with its SHA-256, over https as well,
// where Amazon's own clients leave the payload unsigned: it is read for its MD5 anyway, and so the
// store checks what it got, whoever ends TLS in between.
//
// Thread-safety: any number of threads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "sources/listing_xml.h"
#include "sources/object_store.h"

namespace sluice::sources {

// What is sent: a piece of a file, and what the store is to find it to be.
struct Payload {
  const Fd* fd = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::string md5;     // 16 bytes
  std::string sha256;  // hexadecimal digits
};

// What the store says of what it has got.
struct Stored {
  std::string etag;  // empty where it says nothing
  bool etag_is_digest = true;
};

class WritableStore : public ObjectStore {
 public:
  // Every object whose key begins so. Errors: those of `list`.
  virtual Result<std::vector<Object>> list_below(const std::string& prefix,
                                                 const std::atomic<bool>& stop) = 0;
  // One object, or nothing. A bucket that does not exist has none either.
  virtual Result<std::optional<Object>> look(const std::string& key) = 0;

  // Errors of all below: those of `list`; kUnavailable/`damaged` where the store got something
  // else than was sent; kNotFound/`no_such_object` for a bucket or an upload that is not there.
  virtual Result<Stored> put(const std::string& key, const Payload& payload,
                             const std::atomic<bool>& stop) = 0;
  virtual Result<void> remove(const std::string& key) = 0;

  // An upload in parts: nobody sees anything of it before its end. Answers its name.
  virtual Result<std::string> begin_parts(const std::string& key) = 0;
  // `number`: from 1 on.
  virtual Result<Stored> put_part(const std::string& key, const std::string& upload, int number,
                                  const Payload& payload, const std::atomic<bool>& stop) = 0;
  virtual Result<Stored> end_parts(const std::string& key, const std::string& upload,
                                   const std::vector<UploadedPart>& parts) = 0;
  // Gives it up, with what was sent.
  virtual Result<void> drop_parts(const std::string& key, const std::string& upload) = 0;
};

}  // namespace sluice::sources
