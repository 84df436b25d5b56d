#include "sources/directory_watcher.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/log.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr int kLevels = 3;
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
                                  IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR;

}  // namespace

DirectoryWatcher::DirectoryWatcher(fs::path root, std::function<void()> changed)
    : root_(std::move(root)),
      changed_(std::move(changed)),
      inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!inotify_ || !stop_) return;
  thread_ = std::thread([this] { run(); });
}

DirectoryWatcher::~DirectoryWatcher() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof(one));
  thread_.join();
}

// A directory that is watched already stays so.
void DirectoryWatcher::watch_below(const fs::path& directory, int levels) {
  if (::inotify_add_watch(inotify_.get(), directory.c_str(), kEvents) < 0) {
    if (errno == ENOSPC && !std::exchange(exhausted_, true)) {
      log::warn(
          "the system has no more inotify watches: changes are noticed when the repository is "
          "looked at (--poll)");
    }
    return;
  }
  if (levels == 1) return;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->path().filename().string().starts_with('.')) continue;
    if (it->is_directory(ignored)) watch_below(it->path(), levels - 1);
  }
}

void DirectoryWatcher::run() {
  pthread_setname_np(pthread_self(), "watcher");
  watch_below(root_, kLevels);
  std::array<pollfd, 2> waits{{{inotify_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  alignas(inotify_event) std::array<char, 16384> events{};
  while (true) {
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
    if (waits[0].revents == 0) continue;
    bool directories = false;
    ssize_t got = 0;
    while ((got = ::read(inotify_.get(), events.data(), events.size())) > 0) {
      for (ssize_t at = 0; at < got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(events.data() + at);
        directories = directories || (event->mask & (IN_ISDIR | IN_Q_OVERFLOW)) != 0;
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    if (directories) watch_below(root_, kLevels);
    changed_();
  }
}

}  // namespace sluice::sources
