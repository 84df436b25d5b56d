#include "engines/python_finder.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engines/python_paths.h"
#include "engines/worker_process.h"

namespace sluice::engines {
namespace {

namespace fs = std::filesystem;

// The current directory is a new one, with what passes for a Python in it, as long as this lives.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sluice-python-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
    fs::create_directories(path_ / "real");
    std::ofstream(path_ / "real/python") << "#!/bin/sh\necho sluice-python 1.2.3 \"$0\"\n";
    fs::permissions(path_ / "real/python", fs::perms::owner_all);
    fs::create_directories(path_ / "venv/bin");
    fs::create_symlink("../../real/python", path_ / "venv/bin/python");
    fs::current_path(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    fs::current_path(before_);
    fs::remove_all(path_);
  }
  std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  const fs::path before_ = fs::current_path();
  fs::path path_;
};

// So many descriptors may be open, as long as this lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{most, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(FindPython, TakesARelativePath) {
  const Folder folder;
  for (const char* name : {"venv/bin/python", "./venv/bin/python"}) {
    const auto found = find_python(name);
    ASSERT_TRUE(found) << name << ": " << found.error().message;
    // Not what the link leads to: that one does not know the environment's packages.
    EXPECT_TRUE(fs::path(found->path).is_absolute()) << found->path;
    EXPECT_TRUE(found->path.ends_with("venv/bin/python")) << found->path;
  }
}

TEST(FindPython, SaysWhyNot) {
  const auto absent = find_python("no/such/python");
  ASSERT_FALSE(absent);
  EXPECT_TRUE(absent.error().message.contains("No such file")) << absent.error().message;
  const auto other = find_python("/bin/true");
  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error().message.contains("cannot import sklearn")) << other.error().message;
  const FewDescriptors none(3);
  const auto starved = find_python("");
  ASSERT_FALSE(starved);
  EXPECT_TRUE(starved.error().message.contains("descriptors")) << starved.error().message;
}

TEST(WorkerProcess, NeedsFewDescriptors) {
  const FewDescriptors few(64);
  const auto started =
      WorkerProcess::start({{"/bin/true"}, {}, {0, 1, 2, 0, 1}, std::uint64_t{1} << 30, false});
  ASSERT_TRUE(started) << started.error().message;
  (*started)->wait(std::chrono::seconds(10));
  EXPECT_EQ((*started)->bury(), "exit status 0");
}

TEST(PythonPaths, AreMadeAbsolute) {
  const Folder folder;
  EXPECT_EQ(
      absolute_variable("PYTHONPATH=.:lib:/usr/lib:"),
      "PYTHONPATH=" + (folder / ".") + ":" + (folder / "lib") + ":/usr/lib:" + (folder / "."));
  EXPECT_EQ(absolute_variable("PYTHONPATH="), "PYTHONPATH=");
  EXPECT_EQ(absolute_variable("PATH=.:lib"), "PATH=.:lib");
  EXPECT_EQ(absolute_path("/usr/bin/python3"), "/usr/bin/python3");
}

}  // namespace
}  // namespace sluice::engines
