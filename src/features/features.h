// All feature stores of this server.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/worker.h"
#include "features/fetcher.h"
#include "features/stores.h"

namespace sluice::features {

class Features {
 public:
  // The declared ones, and `default` in `state_directory` (":memory:": an empty one) where none is
  // declared. Nothing is connected to yet. Errors: kInvalidArgument/`bad_store_url`.
  static Result<std::unique_ptr<Features>> open(const Stores& stores,
                                                const std::string& state_directory);
  ~Features();

  // Errors: kNotFound/`unknown_store`, with those that there are.
  Result<Fetcher*> find(std::string_view name) const;
  const std::vector<std::unique_ptr<Fetcher>>& all() const { return fetchers_; }

  // What is known of one entity, for people; `then` is called once, on a thread that such questions
  // share. An entity of several keys is written "user_id=u42,merchant_id=7". Errors: those of the
  // store; kNotFound/`unknown_entity`; kInvalidArgument/`bad_entity`;
  // kFailedPrecondition/`not_listable` where the store cannot list and no model names features of
  // it.
  using Then = std::move_only_function<void(Result<NamedFeatures>)>;
  void look(Fetcher& fetcher, std::string entity, Then then);

  // Nothing waits or runs any more when it returns.
  void close();

 private:
  Features() = default;

  std::vector<std::unique_ptr<Fetcher>> fetchers_;
  std::unique_ptr<Worker> desk_ = std::make_unique<Worker>("feature desk");
};

}  // namespace sluice::features
