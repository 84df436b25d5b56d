#include "clients/redis_connection.h"

#include <hiredis/read.h>

#include <algorithm>

namespace sluice::clients {

struct RedisExchange {
  std::string_view unsent;
  const std::size_t commands;
  RedisReplies& replies;
  std::size_t done = 0;            // replies that are whole
  bool wrong = false;              // a reply is not what it should be
  bool demoted = false;            // the server is a copy, or has none to copy from
  std::optional<Error> refusal{};  // the first
};

namespace {

// hiredis moves what is behind a reply to the front of its buffer, so it is fed in small pieces.
constexpr std::size_t kFeed = std::size_t{16} << 10;

Failure bad_store(std::string message) {
  return fail(Code::kFailedPrecondition, "bad_store", std::move(message));
}
Failure too_late(std::string message) {
  return fail(Code::kDeadlineExceeded, "store_timeout", std::move(message));
}

// What is said before anything else, and the replies to it.
class Greeting : public RedisReplies {
 public:
  explicit Greeting(const RedisUrl& url) {
    if (!url.password.empty()) {
      std::vector<std::string_view> words = {"AUTH"};
      if (!url.user.empty()) words.emplace_back(url.user);
      words.emplace_back(url.password);
      add(Command::kAuth, words);
    }
    if (url.database != 0) {
      add(Command::kSelect,
          std::array<std::string_view, 2>{"SELECT", std::to_string(url.database)});
    }
    if (!url.primary.empty()) add(Command::kRole, std::array<std::string_view, 1>{"ROLE"});
  }

  std::string_view pipeline() const { return pipeline_; }
  std::size_t commands() const { return commands_.size(); }
  // After the replies.
  Result<void> check() const {
    if (role_.empty() || role_ == "master") return {};
    return unavailable("store_unavailable",
                       "the sentinels of Redis name a server that is not the primary; a failover "
                       "may be under way: try again later");
  }

  bool list(std::size_t reply, std::size_t size) override {
    return commands_[reply] == Command::kRole && size > 0;
  }
  void text(std::size_t, std::size_t element, std::string_view text) override {
    if (element == 0) role_ = text;
  }
  void nil(std::size_t, std::size_t) override {}
  bool other(std::size_t, std::size_t element) override { return element > 0; }
  bool status(std::size_t reply, std::string_view text) override {
    return commands_[reply] != Command::kRole && text == "OK";
  }
  Result<void> refused(std::size_t reply, std::string_view why) override {
    auto error = redis_refusal(why);
    if (error.reason != "bad_store") return Failure(std::move(error));
    if (commands_[reply] == Command::kRole && why.starts_with("NOPERM")) {
      error.message =
          "Redis does not let this user ask for ROLE, which tells the primary from its copies; "
          "allow it";
    }
    // Older servers have only ERR for both.
    if (why.starts_with("ERR") && commands_[reply] == Command::kAuth) {
      error.message = "Redis does not take the user or password of its URL";
    }
    if (why.starts_with("ERR") && commands_[reply] == Command::kSelect) {
      error.message = "Redis does not have the database of its URL";
    }
    return Failure(std::move(error));
  }

 private:
  enum class Command : std::uint8_t { kAuth, kSelect, kRole };

  void add(Command command, std::span<const std::string_view> words) {
    append_redis_command(pipeline_, words);
    commands_.push_back(command);
  }

  std::string pipeline_;
  std::vector<Command> commands_;
  std::string role_;
};

// hiredis calls these for each part of a reply; they make nothing, and what they return only says
// that there is something.
struct Parts {
  static void* made() {
    static char something;
    return &something;
  }
  static RedisExchange& pending(const redisReadTask* task) {
    return *static_cast<RedisExchange*>(task->privdata);
  }
  // Somewhere in an element of a list, of which nothing is told.
  static bool deep(const redisReadTask* task) {
    return task->parent != nullptr && task->parent->parent != nullptr;
  }
  // A number, or a list in a list.
  static bool wrong(const redisReadTask* task) {
    auto& now = pending(task);
    if (deep(task)) return false;
    return task->parent == nullptr ||
           !now.replies.other(now.done, static_cast<std::size_t>(task->idx));
  }
  static void refused(RedisExchange& pending, std::string_view why) {
    // Also where a program has run into it.
    constexpr std::string_view kCopy[] = {"READONLY ", "MASTERDOWN "};
    const auto in = [&](std::string_view word) { return why.find(word) != std::string_view::npos; };
    pending.demoted = pending.demoted || std::ranges::any_of(kCopy, in);
    auto taken = pending.replies.refused(pending.done, why);
    if (!taken && !pending.refusal) pending.refusal = std::move(taken).error();
  }

  static void* string(const redisReadTask* task, char* data, std::size_t size) {
    auto& now = pending(task);
    const std::string_view text(data, size);
    if (now.wrong || deep(task)) return made();
    if (task->parent != nullptr) {
      now.wrong = task->type != REDIS_REPLY_STRING;
      if (!now.wrong) now.replies.text(now.done, static_cast<std::size_t>(task->idx), text);
    } else if (task->type == REDIS_REPLY_ERROR) {
      refused(now, text);
    } else {
      now.wrong = task->type != REDIS_REPLY_STATUS || !now.replies.status(now.done, text);
    }
    return made();
  }
  static void* array(const redisReadTask* task, int size) {
    auto& now = pending(task);
    if (now.wrong) return made();
    now.wrong = task->parent != nullptr
                    ? wrong(task)
                    : size < 0 || !now.replies.list(now.done, static_cast<std::size_t>(size));
    return made();
  }
  static void* integer(const redisReadTask* task, long long) {
    auto& now = pending(task);
    now.wrong = now.wrong || wrong(task);
    return made();
  }
  static void* nil(const redisReadTask* task) {
    auto& now = pending(task);
    if (now.wrong || deep(task)) return made();
    if (task->parent == nullptr) {
      now.wrong = !now.replies.nothing(now.done);
    } else {
      now.replies.nil(now.done, static_cast<std::size_t>(task->idx));
    }
    return made();
  }
  static void free(void*) {}
};

redisReplyObjectFunctions* functions() {
  static redisReplyObjectFunctions out = {Parts::string, Parts::array, Parts::integer, Parts::nil,
                                          Parts::free};
  return &out;
}

}  // namespace

void RedisConnection::FreeReader::operator()(redisReader* reader) const { redisReaderFree(reader); }

RedisConnection::RedisConnection(std::unique_ptr<RedisSocket> socket)
    : socket_(std::move(socket)), reader_(redisReaderCreateWithFunctions(functions())) {
  // Its buffer would else be thrown away and made again for each piece.
  if (reader_) reader_->maxbuf = 4 * kFeed;
}

RedisConnection::~RedisConnection() = default;

Result<std::unique_ptr<RedisConnection>> RedisConnection::open(const RedisUrl& url,
                                                               Deadline deadline) {
  SLUICE_TRY(auto socket, RedisSocket::open(url, deadline));
  std::unique_ptr<RedisConnection> out(new RedisConnection(std::move(socket)));
  if (!out->reader_) return internal("Redis cannot be spoken to: memory is short");
  SLUICE_CHECK(out->greet(url, deadline));
  return out;
}

Result<void> RedisConnection::greet(const RedisUrl& url, Deadline deadline) {
  Greeting greeting(url);
  SLUICE_CHECK(exchange(greeting.pipeline(), greeting.commands(), greeting, deadline));
  return greeting.check();
}

Result<void> RedisConnection::exchange(std::string_view pipeline, std::size_t commands,
                                       RedisReplies& replies, Deadline deadline) {
  received_ = false;
  RedisExchange pending{pipeline, commands, replies};
  reader_->privdata = &pending;
  auto done = run(pending, deadline);
  reader_->privdata = nullptr;
  // More than was asked for: nobody knows what the next reply would be. Of a copy: where it was
  // found, the primary may be now.
  usable_ = done.has_value() && reader_->pos == reader_->len && !pending.demoted;
  if (done && pending.refusal) return Failure(*std::move(pending.refusal));
  return done;
}

Result<void> RedisConnection::run(RedisExchange& pending, Deadline deadline) {
  while (pending.done < pending.commands || !pending.unsent.empty()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return too_late("Redis did not answer in time");
    }
    SLUICE_TRY(const bool sent, send_some(pending));
    SLUICE_TRY(const bool received, receive_some(pending));
    const bool blocked = !sent || pending.unsent.empty();
    if (blocked && !received) SLUICE_CHECK(socket_->wait(!pending.unsent.empty(), deadline));
  }
  return {};
}

// Whether anything went out.
Result<bool> RedisConnection::send_some(RedisExchange& pending) {
  if (pending.unsent.empty()) return false;
  auto sent = socket_->send(pending.unsent);
  if (sent) {
    pending.unsent.remove_prefix(*sent);
    return *sent > 0;
  }
  // A reply that says why may still be there to be read ("too many clients").
  SLUICE_TRY(const bool received, receive_some(pending));
  return lost(std::move(sent).error(), received ? &pending : nullptr);
}

// Whether anything came in.
Result<bool> RedisConnection::receive_some(RedisExchange& pending) {
  auto got = socket_->receive(buffer_);
  // Some servers say why before they close.
  if (!got) return lost(std::move(got).error(), &pending);
  if (*got == 0) return false;
  received_ = true;
  std::string_view bytes(buffer_.data(), *got);
  for (; !bytes.empty(); bytes.remove_prefix(std::min(kFeed, bytes.size()))) {
    SLUICE_CHECK(take_apart(bytes.substr(0, kFeed), pending));
  }
  return true;
}

Failure RedisConnection::lost(Error error, RedisExchange* pending) {
  if (pending != nullptr && pending->refusal) return Failure(*std::move(pending->refusal));
  closed_ = error.reason == "store_unavailable";
  return Failure(std::move(error));
}

Result<void> RedisConnection::take_apart(std::string_view bytes, RedisExchange& pending) {
  if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
    return internal("a reply of Redis cannot be read: memory is short");
  }
  reply_bytes_ += bytes.size();
  while (pending.done < pending.commands) {
    void* reply = nullptr;
    const int code = redisReaderGetReply(reader_.get(), &reply);
    if (code != REDIS_OK)
      return bad_store(
          "what answers does not speak the protocol of Redis; where it speaks TLS, write "
          "rediss://");
    if (pending.wrong) return bad_store("Redis answers with another kind of reply than was asked");
    if (reply == nullptr) break;
    ++pending.done;
    reply_bytes_ = reader_->len - reader_->pos;
  }
  if (reply_bytes_ > RedisClient::kMostReplyBytes) {
    return bad_store(
        "a reply of Redis is larger than 64 MiB; keep fewer or smaller features of an "
        "entity");
  }
  return {};
}

bool RedisConnection::quiet() const { return socket_->quiet(); }

}  // namespace sluice::clients
