#include "features/features.h"

#include <algorithm>

#include "base/name_list.h"
#include "base/text.h"
#include "core/hand_back.h"
#include "features/builtin.h"
#include "features/entity_look.h"
#include "features/joiner.h"

namespace sluice::features {
namespace {

// They go on where they came from, with what they got.
void go_on(std::vector<std::shared_ptr<Gathering>> ended) {
  std::vector<RequestPtr> requests;
  for (const auto& each : ended) {
    each->joiner->settle(*each);
    requests.push_back(std::move(each->request));
  }
  hand_back(requests);
}

Stores with_default(Stores stores, const std::string& state_directory) {
  if (std::ranges::any_of(stores.list, [](const auto& each) { return each.name == "default"; })) {
    return stores;
  }
  StoreOptions embedded;
  embedded.name = "default";
  embedded.url =
      "sqlite:" +
      (state_directory == ":memory:" ? state_directory : embedded_file(state_directory).string());
  stores.list.push_back(std::move(embedded));
  return stores;
}

}  // namespace

Result<std::unique_ptr<Features>> Features::open(const Stores& stores,
                                                 const std::string& state_directory) {
  std::unique_ptr<Features> out(new Features);
  for (const auto& options : with_default(stores, state_directory).list) {
    SLUICE_TRY(auto store, open_store(options));
    auto& made = out->fetchers_.emplace_back(std::make_unique<Fetcher>(options, std::move(store)));
    made->on_ended(go_on);
  }
  return out;
}

Features::~Features() { close(); }

Result<Fetcher*> Features::find(std::string_view name) const {
  std::vector<std::string> known;
  for (const auto& each : fetchers_) {
    if (each->name() == name) return each.get();
    known.push_back(each->name());
  }
  return not_found("unknown_store", "there is no feature store '" + printable(name) +
                                        "'; there is " + name_list(known));
}

void Features::look(Fetcher& fetcher, std::string entity, Then then) {
  desk_->post([&fetcher, entity = std::move(entity), then = std::move(then)]() mutable {
    then(look_at_entity(fetcher, entity));
  });
}

void Features::close() {
  desk_ = nullptr;
  for (const auto& each : fetchers_) each->close();
}

}  // namespace sluice::features
