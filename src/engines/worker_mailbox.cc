#include "engines/worker_mailbox.h"

#include <cstring>
#include <utility>

namespace sluice::engines {

std::optional<WorkerMailbox> WorkerMailbox::make(std::uint32_t awake_us) {
  constexpr std::size_t kSize = 4096;
  static_assert(sizeof(Page) <= kSize);
  auto memory = WorkerMemory::make(kSize);
  if (!memory) return {};
  WorkerMailbox out;
  out.memory_ = std::move(*memory);
  out.page().ours.other = kOrdered ? awake_us : 0;
  out.page().ours.asleep = kOrdered ? 0 : 1;
  out.page().theirs.asleep = 1;  // until it looks for the first time
  return out;
}

bool WorkerMailbox::ask(const WorkerMessage& question) {
  std::memcpy(&page().ours.message, &question, sizeof(question));
  // Sequentially consistent, both: a full barrier between them.
  Word(page().ours.number).store(++asked_);
  return Word(page().theirs.asleep).load() != 0;
}

bool WorkerMailbox::taken() const { return Word(page().theirs.other).load() == asked_; }

std::optional<WorkerMessage> WorkerMailbox::answer() const {
  if (Word(page().theirs.number).load() != asked_) return {};
  WorkerMessage out;
  std::memcpy(&out, &page().theirs.message, sizeof(out));
  return out;
}

void WorkerMailbox::fall_asleep() { Word(page().ours.asleep).store(1); }

void WorkerMailbox::wake_up() { Word(page().ours.asleep).store(kOrdered ? 0 : 1); }

}  // namespace sluice::engines
