#include "state/redis.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "base/text.h"
#include "state/conflict.h"
#include "state/redis_calls.h"
#include "state/redis_fleet.h"

namespace sluice::state {
namespace {

// A text that is read is one reply, which has an end (clients/redis.h).
constexpr std::size_t kMostText = std::size_t{32} << 20;
// Texts that are read in one round trip.
constexpr std::size_t kAtOnce = 32;

Failure bad_state() {
  return fail(Code::kDataLoss, "bad_state",
              "a document of the state in Redis cannot be read: another program, or another "
              "version of this one, has written there");
}

Result<void> check_size(std::string_view text) {
  if (text.size() <= kMostText) return {};
  return fail(Code::kResourceExhausted, "too_large",
              "a text of " + human_bytes(text.size()) + " is to be kept in Redis, and " +
                  human_bytes(kMostText) + " is the most; keep it in parts");
}

// Of two names, so that no other two give the same.
std::string joined(std::string_view first, std::string_view second) {
  return std::to_string(first.size()) + ":" + std::string(first) + ":" + std::string(second);
}

// Twenty digits, which sort as numbers do.
std::string digits(std::uint64_t number) {
  const auto text = std::to_string(number);
  return std::string(20 - text.size(), '0') + text;
}

std::string key_of(std::string_view room, std::string_view name) {
  return std::string(RedisCalls::kPrefix) + std::string(room) + ":" + std::string(name);
}

// "REVISION BODY".
Result<StoredDocument> read_document(std::string_view key, std::string_view text) {
  const auto space = text.find(' ');
  const auto revision = parse_uint(text.substr(0, space));
  if (space == std::string_view::npos || !revision) return bad_state();
  return StoredDocument{std::string(key), *revision, std::string(text.substr(space + 1))};
}

class RedisStore final : public StateStore {
 public:
  explicit RedisStore(clients::RedisUrl url) : calls_(std::move(url)), fleet_(calls_, token_) {
    calls_.look();
  }

  Result<std::vector<StoredDocument>> documents(std::string_view kind) override;
  Result<std::optional<StoredDocument>> document(std::string_view kind,
                                                 std::string_view key) override;
  Result<std::uint64_t> put(std::string_view kind, std::string_view key, std::string_view body,
                            std::uint64_t expected,
                            const std::optional<JournalEntry>& entry) override;
  Result<void> remove(std::string_view kind, std::string_view key, std::uint64_t expected,
                      const std::optional<JournalEntry>& entry) override;
  Result<void> save(std::string_view kind, std::string_view key, std::string_view body,
                    std::span<const SavedPiece> pieces) override;
  Result<std::optional<std::string>> saved(std::string_view kind, std::string_view key) override;
  Result<void> forget(std::string_view kind, std::string_view key) override;
  Result<std::vector<std::string>> journal(std::string_view journal, std::string_view key,
                                           std::size_t limit) override;
  Result<void> put_blob(std::string_view kind, std::string_view key, std::uint64_t number,
                        std::string_view bytes) override;
  Result<std::vector<StoredBlob>> blobs(std::string_view kind, std::string_view key) override;
  Result<void> drop_blobs(std::string_view kind, std::string_view key,
                          std::uint64_t below) override;
  Fleet* fleet() override { return &fleet_; }

 private:
  Result<std::vector<std::string>> change(const RedisScript& script, RedisWords arguments);
  Result<std::uint64_t> change_document(const RedisScript& script, RedisWords arguments,
                                        std::uint64_t expected,
                                        const std::optional<JournalEntry>& entry);
  Result<std::vector<std::string>> names(const RedisWords& command);
  Result<std::optional<std::string>> field(const std::string& hash, std::string_view name);
  template <class Take>
  Result<void> fields(const std::string& hash, std::span<const std::string> names, Take take);

  std::atomic<std::uint64_t> token_ = 0;
  RedisCalls calls_;
  RedisFleet fleet_;
};

// --- documents

Result<std::vector<StoredDocument>> RedisStore::documents(std::string_view kind) {
  const auto hash = key_of("documents", kind);
  SLUICE_TRY(auto keys, names({"HKEYS", hash}));
  std::ranges::sort(keys);
  std::vector<StoredDocument> out;
  SLUICE_CHECK(fields(hash, keys, [&](std::size_t i, std::string text) -> Result<void> {
    SLUICE_TRY(auto read, read_document(keys[i], text));
    out.push_back(std::move(read));
    return {};
  }));
  return out;
}

Result<std::optional<StoredDocument>> RedisStore::document(std::string_view kind,
                                                           std::string_view key) {
  SLUICE_TRY(const auto text, field(key_of("documents", kind), key));
  if (!text) return std::nullopt;
  return read_document(key, *text);
}

Result<std::uint64_t> RedisStore::put(std::string_view kind, std::string_view key,
                                      std::string_view body, std::uint64_t expected,
                                      const std::optional<JournalEntry>& entry) {
  SLUICE_CHECK(check_size(body));
  const auto number = std::to_string(expected);
  return change_document(redis_scripts().put, {kind, key, number, body}, expected, entry);
}

Result<void> RedisStore::remove(std::string_view kind, std::string_view key, std::uint64_t expected,
                                const std::optional<JournalEntry>& entry) {
  const auto number = std::to_string(expected);
  SLUICE_CHECK(change_document(redis_scripts().remove, {kind, key, number}, expected, entry));
  return {};
}

// --- evidence and blobs

Result<void> RedisStore::save(std::string_view kind, std::string_view key, std::string_view body,
                              std::span<const SavedPiece> pieces) {
  SLUICE_CHECK(check_size(body));
  std::vector<std::array<std::string, 2>> texts;
  texts.reserve(pieces.size());
  RedisWords words = {kind, key, body};
  for (const auto& piece : pieces) {
    SLUICE_CHECK(check_size(piece.bytes));
    const auto& [name, number] =
        texts.emplace_back(std::array{joined(piece.kind, key), digits(piece.number)});
    words.insert(words.end(), {name, number, piece.bytes});
  }
  SLUICE_CHECK(change(redis_scripts().save, std::move(words)));
  return {};
}

Result<std::optional<std::string>> RedisStore::saved(std::string_view kind, std::string_view key) {
  return field(key_of("saved", kind), key);
}

Result<void> RedisStore::forget(std::string_view kind, std::string_view key) {
  SLUICE_CHECK(change(redis_scripts().forget, {kind, key}));
  return {};
}

Result<void> RedisStore::put_blob(std::string_view kind, std::string_view key, std::uint64_t number,
                                  std::string_view bytes) {
  SLUICE_CHECK(check_size(bytes));
  const auto name = joined(kind, key);
  const auto text = digits(number);
  SLUICE_CHECK(change(redis_scripts().put_blob, {name, text, bytes}));
  return {};
}

Result<std::vector<StoredBlob>> RedisStore::blobs(std::string_view kind, std::string_view key) {
  const auto name = joined(kind, key);
  SLUICE_TRY(const auto numbers, names({"ZRANGE", key_of("numbers", name), "0", "-1"}));
  std::vector<StoredBlob> out;
  SLUICE_CHECK(
      fields(key_of("blobs", name), numbers, [&](std::size_t i, std::string bytes) -> Result<void> {
        const auto number = parse_uint(numbers[i]);
        if (!number) return bad_state();
        out.push_back({*number, std::move(bytes)});
        return {};
      }));
  return out;
}

Result<void> RedisStore::drop_blobs(std::string_view kind, std::string_view key,
                                    std::uint64_t below) {
  const auto name = joined(kind, key);
  const auto text = digits(below);
  SLUICE_CHECK(change(redis_scripts().drop_blobs, {name, text}));
  return {};
}

// --- journals

Result<std::vector<std::string>> RedisStore::journal(std::string_view journal, std::string_view key,
                                                     std::size_t limit) {
  const auto hash = key_of("journal", joined(journal, key));
  SLUICE_TRY(const auto length, field(hash, "n"));
  const auto last = parse_uint(length.value_or("0"));
  if (!last) return bad_state();
  std::vector<std::string> numbers;
  for (auto i = *last - std::min<std::uint64_t>(limit, *last); i < *last; ++i) {
    numbers.push_back(std::to_string(i + 1));
  }
  std::vector<std::string> out;
  SLUICE_CHECK(fields(hash, numbers, [&](std::size_t, std::string text) -> Result<void> {
    out.push_back(std::move(text));
    return {};
  }));
  return out;
}

// --- how Redis is asked

// A program whose first argument is the token that this store writes under.
Result<std::vector<std::string>> RedisStore::change(const RedisScript& script,
                                                    RedisWords arguments) {
  const auto token = std::to_string(token_.load());
  arguments.insert(arguments.begin(), token);
  return calls_.run_fenced(script, arguments);
}

// The new revision, where the program answers one. `arguments`: the key is the second of them.
Result<std::uint64_t> RedisStore::change_document(const RedisScript& script, RedisWords arguments,
                                                  std::uint64_t expected,
                                                  const std::optional<JournalEntry>& entry) {
  const auto key = arguments[1];
  std::string name;
  if (entry) {
    SLUICE_CHECK(check_size(entry->body));
    name = joined(entry->journal, entry->key);
    arguments.insert(arguments.end(), {name, entry->body});
  }
  SLUICE_TRY(const auto answer, change(script, std::move(arguments)));
  const auto number = parse_uint(answer.size() > 1 ? answer[1] : "0");
  if (!number) return bad_state();
  if (answer[0] == "conflict") return revision_conflict(key, *number, expected);
  return *number;
}

// A command that answers names.
Result<std::vector<std::string>> RedisStore::names(const RedisWords& command) {
  SLUICE_TRY(auto answer, calls_.ask({&command, 1}));
  std::vector<std::string> out;
  out.reserve(answer[0].size());
  for (auto& name : answer[0]) out.push_back(name ? *std::move(name) : std::string());
  return out;
}

Result<std::optional<std::string>> RedisStore::field(const std::string& hash,
                                                     std::string_view name) {
  const RedisWords command = {"HMGET", hash, name};
  SLUICE_TRY(auto answer, calls_.ask({&command, 1}));
  if (answer[0].size() != 1) return bad_state();
  return std::move(answer[0][0]);
}

// Hands over what a hash has under these names, in their order, each a reply of its own, as a reply
// has an end. What went away since the names were read is left out.
template <class Take>
Result<void> RedisStore::fields(const std::string& hash, std::span<const std::string> names,
                                Take take) {
  for (std::size_t first = 0; first < names.size(); first += kAtOnce) {
    const auto some = names.subspan(first, std::min(kAtOnce, names.size() - first));
    std::vector<RedisWords> commands;
    for (const auto& name : some) commands.push_back({"HMGET", hash, name});
    SLUICE_TRY(auto answers, calls_.ask(commands));
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].size() != 1) return bad_state();
      if (answers[i][0]) SLUICE_CHECK(take(first + i, *std::move(answers[i][0])));
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<StateStore>> open_redis(const std::string& where) {
  auto url = clients::parse_redis_url(where);
  if (!url) return invalid("bad_state_url", std::move(url.error().message));
  return std::make_unique<RedisStore>(*std::move(url));
}

}  // namespace sluice::state
