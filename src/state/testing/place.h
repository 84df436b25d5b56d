// Where tests keep a state, and what several of them do with it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "state/builtin.h"

namespace sluice::state::testing {

namespace fs = std::filesystem;

// A directory of this test's own, which is not there yet.
class Directory {
 public:
  Directory() { fs::remove_all(path_); }
  ~Directory() { fs::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::string text() const { return path_.string(); }
  fs::path file() const { return path_ / "sluice.db"; }

 private:
  const fs::path path_ = fs::path(::testing::TempDir()) / ("state_" + std::to_string(::getpid()));
};

inline std::unique_ptr<StateStore> opened(const std::string& where) {
  auto store = open_state(where);
  EXPECT_TRUE(store) << (store ? "" : store.error().message);
  return store ? std::move(*store) : nullptr;
}

inline JournalEntry decision(std::string body) { return {"decisions", "fraud", std::move(body)}; }

// Raises a counter in a document `times` times, however often somebody else is faster.
inline bool count_up(StateStore& store, int times) {
  for (int done = 0; done < times;) {
    const auto there = store.document("release", "counter");
    if (!there) return false;
    const auto expected = *there ? (*there)->revision : 0;
    const int value = *there ? std::stoi((*there)->body) : 0;
    const auto next = std::to_string(value + 1);
    const auto put = store.put("release", "counter", next, expected, decision(next));
    if (put) ++done;
    if (!put && put.error().reason != "revision_conflict") return false;
  }
  return true;
}

}  // namespace sluice::state::testing
