#include "state/testing/shared_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "state/sqlite.h"

namespace sluice::state::testing {
namespace {

using Millis = std::chrono::milliseconds;

struct Posted {
  Letter letter;
  std::int64_t at = 0;
};
using Mailbox = std::deque<Posted>;

struct Replica {
  std::int64_t beaten = 0;
  std::uint64_t heard = 0;
};

void post(Mailbox& box, Letter letter, std::int64_t now) {
  box.push_back({std::move(letter), now});
  if (box.size() > Fleet::kMostLetters) box.pop_front();
}

std::vector<Letter> fetch(Mailbox& box, std::int64_t now) {
  std::vector<Letter> out;
  for (auto& [letter, at] : std::exchange(box, {})) {
    if (now - at <= Fleet::kLetterKept.count()) out.push_back(std::move(letter));
  }
  return out;
}

Failure unreachable() { return unavailable("state_unavailable", "the test has cut it off"); }
Failure fenced() {
  return fail(Code::kAborted, "fenced", "another replica leads now; wait for what it publishes");
}
Failure too_large() {
  return fail(Code::kResourceExhausted, "too_large", "a text is larger than 8 MiB");
}

bool fits(const BeatSaid& said) {
  if (said.event.size() > Fleet::kMostText) return false;
  for (const auto* letters : {&said.questions, &said.answers}) {
    for (const auto& letter : *letters) {
      if (letter.text.size() > Fleet::kMostText) return false;
    }
  }
  return true;
}

std::unique_ptr<StateStore> empty_store() { return open_sqlite(":memory:").value(); }

// All that lose_everything() loses.
struct Data {
  explicit Data(std::uint64_t lives) : life("life " + std::to_string(lives)) {}

  BeatHeard beat(const BeatSaid& said, std::int64_t now);
  void keep_lease(const BeatSaid& said, std::int64_t now);
  bool keep_event(const BeatSaid& said);
  void forget(std::uint64_t place);
  // Somebody has heard more than there is: some of it was lost.
  void know(std::uint64_t& newest, std::uint64_t told) {
    if (told <= newest) return;
    newest = told;
    life += "'";
  }

  std::string life;
  std::unique_ptr<StateStore> store = empty_store();
  std::string leader;
  std::int64_t lease_ends = 0;
  std::uint64_t token = 0;
  std::map<std::string, Replica> replicas;
  std::map<std::string, std::uint64_t> sequences;  // the newest that was kept
  std::deque<FleetEvent> events;
  std::uint64_t place = 0;
  std::size_t waiting = 0;
  std::map<std::string, Published> published;
  std::uint64_t number = 0;
  std::map<std::string, std::string> agreed;
  std::map<std::string, Mailbox> answers;
  Mailbox questions;
};

BeatHeard Data::beat(const BeatSaid& said, std::int64_t now) {
  know(number, said.heard);
  keep_lease(said, now);
  replicas[said.replica] = {now, said.heard};
  BeatHeard out;
  out.kept_event = keep_event(said);
  for (const auto& question : said.questions) post(questions, question, now);
  for (const auto& answer : said.answers) {
    post(answers[answer.from], {said.replica, answer.id, answer.text}, now);
  }
  out.now = now;
  out.life = life;
  out.leader = leader;
  out.token = token;
  std::map<std::uint64_t, Published> ordered;
  for (const auto& [model, text] : published) ordered[text.number] = text;
  for (auto& [each, text] : ordered) {
    if (each > said.heard) out.published.push_back(std::move(text));
  }
  out.answers = fetch(answers[said.replica], now);
  if (leader != said.replica) return out;
  out.questions = fetch(questions, now);
  for (const auto& [name, replica] : replicas) {
    const auto silent = std::chrono::milliseconds(now - replica.beaten);
    if (silent <= Fleet::kGone) out.replicas.push_back({name, replica.heard, silent});
  }
  return out;
}

void Data::keep_lease(const BeatSaid& said, std::int64_t now) {
  if (now >= lease_ends) leader.clear();
  if (leader == said.replica && !said.wants_lease) leader.clear();
  if (!said.wants_lease || (!leader.empty() && leader != said.replica)) return;
  if (leader.empty()) {
    token = std::max(token + 1, static_cast<std::uint64_t>(now));
    leader = said.replica;
  }
  lease_ends = now + Fleet::kLease.count();
}

bool Data::keep_event(const BeatSaid& said) {
  auto& newest = sequences[said.replica];
  if (said.event.empty() || said.sequence <= newest) return true;
  if (waiting + said.event.size() > Fleet::kMostWaiting) return false;
  newest = said.sequence;
  waiting += said.event.size();
  events.push_back({++place, said.replica, said.event});
  return true;
}

void Data::forget(std::uint64_t before) {
  for (; !events.empty() && events.front().place <= before; events.pop_front()) {
    waiting -= events.front().bytes.size();
  }
}

}  // namespace

struct SharedStore::Shared {
  enum class Fault { kNone, kCut, kMute };

  std::mutex mutex;
  std::int64_t now = 1'700'000'000'000;
  std::uint64_t lives = 1;
  std::map<std::string, Fault> faults;
  std::unique_ptr<Data> data = std::make_unique<Data>(1);
};

class SharedStore::Way final : public StateStore, public Fleet {
 public:
  Way(std::shared_ptr<Shared> shared, std::string way)
      : shared_(std::move(shared)), way_(std::move(way)) {}

  Fleet* fleet() override { return this; }

  // --- StateStore
  Result<std::vector<StoredDocument>> documents(std::string_view kind) override {
    return read([&](Data& data) { return data.store->documents(kind); });
  }
  Result<std::optional<StoredDocument>> document(std::string_view kind,
                                                 std::string_view key) override {
    return read([&](Data& data) { return data.store->document(kind, key); });
  }
  Result<std::uint64_t> put(std::string_view kind, std::string_view key, std::string_view body,
                            std::uint64_t expected,
                            const std::optional<JournalEntry>& entry) override {
    return write([&](Data& data) { return data.store->put(kind, key, body, expected, entry); });
  }
  Result<void> remove(std::string_view kind, std::string_view key, std::uint64_t expected,
                      const std::optional<JournalEntry>& entry) override {
    return write([&](Data& data) { return data.store->remove(kind, key, expected, entry); });
  }
  Result<void> save(std::string_view kind, std::string_view key, std::string_view body,
                    std::span<const SavedPiece> pieces) override {
    return write([&](Data& data) { return data.store->save(kind, key, body, pieces); });
  }
  Result<std::optional<std::string>> saved(std::string_view kind, std::string_view key) override {
    return read([&](Data& data) { return data.store->saved(kind, key); });
  }
  Result<void> forget(std::string_view kind, std::string_view key) override {
    return write([&](Data& data) { return data.store->forget(kind, key); });
  }
  Result<std::vector<std::string>> journal(std::string_view journal, std::string_view key,
                                           std::size_t limit) override {
    return read([&](Data& data) { return data.store->journal(journal, key, limit); });
  }
  Result<void> put_blob(std::string_view kind, std::string_view key, std::uint64_t number,
                        std::string_view bytes) override {
    return write([&](Data& data) { return data.store->put_blob(kind, key, number, bytes); });
  }
  Result<std::vector<StoredBlob>> blobs(std::string_view kind, std::string_view key) override {
    return read([&](Data& data) { return data.store->blobs(kind, key); });
  }
  Result<void> drop_blobs(std::string_view kind, std::string_view key,
                          std::uint64_t below) override {
    return write([&](Data& data) { return data.store->drop_blobs(kind, key, below); });
  }

  // --- Fleet
  Result<BeatHeard> beat(const BeatSaid& said) override {
    if (!fits(said)) return too_large();
    return read([&](Data& data) -> Result<BeatHeard> { return data.beat(said, shared_->now); });
  }
  Result<void> leave(std::string_view replica) override {
    return read([&](Data& data) -> Result<void> {
      if (data.leader == replica) data.leader.clear();
      data.replicas.erase(std::string(replica));
      return {};
    });
  }
  Result<std::string> agree(std::string_view name, std::string_view text) override {
    return read([&](Data& data) -> Result<std::string> {
      return data.agreed.try_emplace(std::string(name), text).first->second;
    });
  }
  void write_under(std::uint64_t token) override {
    const std::lock_guard lock(shared_->mutex);
    token_ = token;
  }
  Result<std::uint64_t> publish(std::uint64_t token, std::string_view model,
                                std::string_view text) override {
    if (text.size() > kMostText) return too_large();
    return under(token, [&](Data& data) -> Result<std::uint64_t> {
      data.published[std::string(model)] = {std::string(model), ++data.number, std::string(text)};
      return data.number;
    });
  }
  Result<std::vector<FleetEvent>> events(std::uint64_t token, std::uint64_t place) override {
    return under(token, [&](Data& data) -> Result<std::vector<FleetEvent>> {
      data.know(data.place, place);
      std::vector<FleetEvent> out;
      for (const auto& event : data.events) {
        if (event.place > place) out.push_back(event);
      }
      return out;
    });
  }
  Result<void> forget(std::uint64_t token, std::uint64_t place) override {
    return under(token, [&](Data& data) -> Result<void> {
      data.forget(place);
      return {};
    });
  }

 private:
  template <class Work>
  auto read(Work work) -> decltype(work(std::declval<Data&>())) {
    const std::lock_guard lock(shared_->mutex);
    return do_it(work);
  }
  template <class Work>
  auto write(Work work) -> decltype(work(std::declval<Data&>())) {
    const std::lock_guard lock(shared_->mutex);
    return do_under(token_, work);
  }
  template <class Work>
  auto under(std::uint64_t token, Work work) -> decltype(work(std::declval<Data&>())) {
    const std::lock_guard lock(shared_->mutex);
    return do_under(token, work);
  }

  // With the mutex held.
  template <class Work>
  auto do_it(Work& work) -> decltype(work(std::declval<Data&>())) {
    const auto fault = shared_->faults[way_];
    if (fault == Shared::Fault::kCut) return unreachable();
    auto out = work(*shared_->data);
    if (fault == Shared::Fault::kMute) return unreachable();
    return out;
  }
  template <class Work>
  auto do_under(std::uint64_t token, Work& work) -> decltype(work(std::declval<Data&>())) {
    const auto checked = [&](Data& data) -> decltype(work(data)) {
      if (token == 0 || token != data.token) return fenced();
      return work(data);
    };
    return do_it(checked);
  }

  const std::shared_ptr<Shared> shared_;
  const std::string way_;
  std::uint64_t token_ = 0;  // guarded by the shared mutex
};

SharedStore::SharedStore() : shared_(std::make_shared<Shared>()) {}
SharedStore::~SharedStore() = default;

std::unique_ptr<StateStore> SharedStore::open(const std::string& way) {
  return std::make_unique<Way>(shared_, way);
}

void SharedStore::advance(Millis time) {
  const std::lock_guard lock(shared_->mutex);
  shared_->now += time.count();
}

void SharedStore::cut(const std::string& way) {
  const std::lock_guard lock(shared_->mutex);
  shared_->faults[way] = Shared::Fault::kCut;
}

void SharedStore::lose_replies(const std::string& way) {
  const std::lock_guard lock(shared_->mutex);
  shared_->faults[way] = Shared::Fault::kMute;
}

void SharedStore::restore(const std::string& way) {
  const std::lock_guard lock(shared_->mutex);
  shared_->faults.erase(way);
}

void SharedStore::lose_everything() {
  const std::lock_guard lock(shared_->mutex);
  ++shared_->now;  // it takes a moment, so that tokens of before are older
  shared_->data = std::make_unique<Data>(++shared_->lives);
}

}  // namespace sluice::state::testing
