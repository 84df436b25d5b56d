// What the keeper of probe.h is sent, and what all of its children do first.
//
// Thread-safety: functions without state; `begin_child` once in a process, which has one thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "core/engine.h"
#include "core/model_host.h"
#include "core/registry.h"

namespace sluice::repository {

enum class Task : std::uint8_t {
  kTrial,  // load, warm up, say what came of it, end
  kHost,   // load, then run whatever comes (host_child.h)
};

// The answer's socket, the model's bytes and its directory go with it.
struct Order {
  Task task = Task::kTrial;
  std::array<char, 256> engine{};
  std::array<char, 256> file{};
  int threads = 1;
  int parallel = 1;
  bool allow_code = false;
  ProcessLimits process;
  int warmup = 0;
  HostFaults faults;     // of a host
  unsigned seconds = 0;  // the longest that loading may take
  bool empty = false;    // the file has no bytes, and so no descriptor
  bool has_directory = false;
};

template <std::size_t N>
void put_text(std::array<char, N>& to, std::string_view text) {
  const auto size = std::min(text.size(), N - 1);
  std::memcpy(to.data(), text.data(), size);
  to[size] = '\0';
}

// A trial that has used so much of a processor is not going to be done: a minute, and a second for
// each 10 MB. By the clock on the wall it may take ten times as long, on a machine that is busy.
unsigned longest_seconds(std::size_t bytes);

// What is to be loaded by which engine; the rest of the order is the caller's.
Order order_for(const std::string& engine, const ModelFile& file, const LoadOptions& options);

// Sends it with a socket for the answers and answers the other end. Errors: kUnavailable/
// `no_trial` when there is no keeper any more, or no descriptor.
Result<Fd> send_order(const Fd& keeper, Order& order, const ModelFile& file);
// False: nobody sends any more. The first of `fds` is the answer's socket.
bool receive_order(int from, Order& order, std::vector<Fd>& fds);
Failure no_keeper();
// Nobody is at the other end any more.
bool hung_up(const Fd& socket);

// The end of a child by a signal of its own doing is told on `socket` by `tell`, which may only do
// what signal handlers may. From now on it has limits for loading, and goes first where the
// system's memory is short.
void begin_child(int socket, void (*tell)(int socket, int signal), const Order& order);
// Of a host, which has been loaded: those limits are no more.
void end_limits();

struct LoadedInChild {
  std::unique_ptr<Model> model;
  std::uint64_t memory = 0;  // that it took
};
// In a child. Warms up as often as is ordered, and takes no notice of what comes of that.
Result<LoadedInChild> load_ordered(const Registry<Engine>& engines, const Order& order,
                                   std::vector<Fd>& fds);

}  // namespace sluice::repository
