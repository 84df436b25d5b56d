// The table of endpoints against everything that is served: here, where all of it is put together.
#include "frontends/endpoints.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "app/stack.h"
#include "frontends/builtin.h"

namespace sluice::frontends {
namespace {

// All front ends over an empty repository.
struct Everything {
  Everything() {
    auto opened = app::Stack::open(SLUICE_SOURCE_DIR "/examples/models");
    stack = std::move(*opened);
    add_builtin(
        router, methods,
        {stack->pipeline(), stack->tables(), stack->repository(), stack->releases(), stack->trace(),
         shared_memory, settings, stack->shadows(), stack->watch(), stack->features()});
  }
  std::unique_ptr<app::Stack> stack;
  clients::SharedMemory shared_memory{false};
  LiveSettings settings{std::make_shared<const Settings>()};
  Router router{{}, settings};
  transport::GrpcMethods methods;
};

TEST(Endpoints, EveryLineHasAHandlerAndEveryHandlerALine) {
  Everything everything;
  std::set<std::string> listed;
  for (const Endpoint& endpoint : endpoints()) {
    if (endpoint.method == "gRPC") {
      listed.insert(std::string(endpoint.path));
      EXPECT_NE(everything.methods.find(endpoint.path), nullptr) << endpoint.path;
    } else {
      EXPECT_TRUE(everything.router.serves(endpoint)) << endpoint.method << " " << endpoint.path;
    }
  }
  EXPECT_EQ(everything.methods.paths(), listed);
}

TEST(Endpoints, NoCallIsListedTwice) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const Endpoint& endpoint : endpoints()) {
    EXPECT_TRUE(seen.emplace(endpoint.method, endpoint.path).second) << endpoint.path;
  }
}

// SLUICE_UPDATE=1 rewrites the page.
TEST(Endpoints, ThePageInTheDocsAgrees) {
  constexpr std::string_view kBegin = "<!-- endpoints:begin -->\n";
  constexpr std::string_view kEnd = "<!-- endpoints:end -->";
  const std::string path = SLUICE_SOURCE_DIR "/docs/endpoints.md";
  std::stringstream page;
  page << std::ifstream(path).rdbuf();
  const std::string text = page.str();
  const auto begin = text.find(kBegin);
  const auto end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const auto from = begin + kBegin.size();
  const std::string table = endpoints_markdown() + "\n";
  if (std::getenv("SLUICE_UPDATE") != nullptr) {
    std::ofstream(path) << text.substr(0, from) << table << text.substr(end);
    return;
  }
  EXPECT_EQ(text.substr(from, end - from), table) << "run the unit tests once with SLUICE_UPDATE=1";
}

}  // namespace
}  // namespace sluice::frontends
