#include "routing/newest.h"

namespace sluice::routing {
namespace {

class Newest final : public Policy {
 public:
  explicit Newest(std::size_t newest) : newest_(newest) {}
  std::size_t choose(const RouteQuery&) const override { return newest_; }

 private:
  const std::size_t newest_;
};

class NewestFactory final : public PolicyFactory {
 public:
  Result<std::shared_ptr<const Policy>> make(const std::vector<VersionName>& ready,
                                             const Node&) const override {
    return std::make_shared<Newest>(ready.size() - 1);
  }
};

}  // namespace

std::shared_ptr<const PolicyFactory> make_newest() { return std::make_shared<NewestFactory>(); }

}  // namespace sluice::routing
