// A question to a worker and its answer, in a page that both map, so that two who are awake need no
// system call to speak: one costs a Python program several microseconds, and a small model takes
// thirty.
//
// Each side writes its message and then its number. Before a side falls asleep it says so, and then
// looks once more; before the other leaves, it looks whether that was said, and if so rings (a
// message on the worker's socket). Each of the two writes and then reads what the other has
// written, with a full barrier in between, so that one of them sees the other (Dekker's algorithm).
// A ring may come late, when its message has long been read: whoever is woken looks for himself.
//
// Python has no barriers of its own. On x86 loads and stores keep their order but for a load that
// overtakes a store, and any lock taken in between, Python's own too, is a full barrier. Elsewhere
// both say for good that they sleep, ring each time, and believe what they find there once its ring
// has come: then the socket keeps the order.
//
// Where what lies is said in worker_channel.py as well. The worker is not trusted: what comes from
// it is copied before it is looked at, and is no more than a message.
//
// Thread-safety: one thread at a time on this side.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "engines/worker_memory.h"

namespace sluice::engines {

struct WorkerMessage {
  std::uint32_t kind = 0;
  std::uint32_t detail = 0;
  std::uint64_t rows = 0;
  std::array<std::uint64_t, 2> places{};
};
static_assert(sizeof(WorkerMessage) == 32);

class WorkerMailbox {
 public:
#if defined(__x86_64__)
  static constexpr bool kOrdered = true;
#else
  static constexpr bool kOrdered = false;
#endif

  WorkerMailbox() = default;
  // For a worker that stays awake for `awake_us` microseconds after each answer; 0: it never does,
  // and is rung for each question. None where the system gives no memory.
  static std::optional<WorkerMailbox> make(std::uint32_t awake_us);
  const Fd& descriptor() const { return memory_.descriptor(); }

  // Puts a question. True: the worker may be asleep; ring.
  bool ask(const WorkerMessage& question);
  // Of the last question.
  std::uint32_t number() const { return asked_; }
  // The worker has looked at the last question.
  bool taken() const;
  // Its answer, if there is one by now.
  std::optional<WorkerMessage> answer() const;

  // From the first call on the worker rings when it has answered, until the second. Between them,
  // look once more before waiting for a ring.
  void fall_asleep();
  void wake_up();

 private:
  // What one side writes, in cache lines of its own.
  struct Side {
    std::uint32_t number;  // of its last message
    std::uint32_t asleep;
    std::uint32_t other;  // ours: how long the worker stays awake; its: the number it has taken
    std::uint32_t unused[5];
    WorkerMessage message;
    std::uint32_t to_next_lines[16];
  };
  static_assert(sizeof(Side) == 128);
  struct Page {
    Side ours;
    Side theirs;
  };

  using Word = std::atomic_ref<std::uint32_t>;
  static_assert(Word::is_always_lock_free);
  Page& page() const { return *reinterpret_cast<Page*>(memory_.bytes().data()); }

  WorkerMemory memory_;
  std::uint32_t asked_ = 0;
};

}  // namespace sluice::engines
