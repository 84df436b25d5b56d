#include "tools/bench/http_load.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tools/bench/http_answer.h"

namespace sluice::tools {
namespace {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

// A server that does not answer any more ends the measurement, not the user's patience.
constexpr auto kPatience = std::chrono::seconds(10);
constexpr auto kRetry = std::chrono::milliseconds(10);
constexpr auto kLongestWait = std::chrono::milliseconds(100);

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

struct Client {
  enum class State { kIdle, kConnecting, kBusy, kResting };
  State state = State::kIdle;
  Fd socket;
  bool used = false;     // an answer came on this connection
  bool pending = false;  // has a request that waits for the connection, or for its answer
  TimePoint since;       // when that should have started
  std::size_t sent = 0;
  std::size_t have = 0;         // of a head that is not whole
  std::uint64_t body_left = 0;  // once the head is whole
  AnswerHead head;
  std::array<char, 16384> buffer;
};

// Waits end when they should, not 50 µs later, which is what the kernel allows itself.
class PreciseWaits {
 public:
  PreciseWaits() : before_(prctl(PR_GET_TIMERSLACK)) { prctl(PR_SET_TIMERSLACK, 1UL); }
  ~PreciseWaits() {
    if (before_ > 0) prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(before_));
  }
  PreciseWaits(const PreciseWaits&) = delete;
  PreciseWaits& operator=(const PreciseWaits&) = delete;

 private:
  const int before_;
};

class Load {
 public:
  explicit Load(const LoadPlan& plan)
      : plan_(plan), limit_(std::chrono::duration<float, std::micro>(plan.timeout).count()) {
    const std::string method = plan.body.empty() ? "GET " : "POST ";
    request_ = method + plan.path + " HTTP/1.1\r\nHost: " + plan.host + "\r\n";
    if (plan.timeout.count() > 0) {
      request_ += "X-Request-Timeout-Ms: " + std::to_string(plan.timeout.count()) + "\r\n";
    }
    if (!plan.body.empty()) {
      request_ +=
          "Content-Type: application/json\r\nContent-Length: " + std::to_string(plan.body.size()) +
          "\r\n";
    }
    request_ += "\r\n" + plan.body;
    result_.micros.reserve(1 << 18);
    result_.good_micros.reserve(1 << 18);
  }

  Result<LoadResult> run() {
    poll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
    SLUICE_CHECK(connect_all());
    const PreciseWaits precise;
    begin_ = last_answer_ = Clock::now();
    end_ = begin_ + plan_.duration;
    for (auto& client : clients_) next(*client, begin_);
    std::array<epoll_event, 256> events;
    for (auto now = begin_; !over(now);) {
      const auto count = wait(now, events);
      for (const auto& event : std::span(events).first(count)) {
        on_event(*static_cast<Client*>(event.data.ptr), event.events);
      }
      now = Clock::now();
      dispatch(now);
      retry(now);
    }
    result_.failed += under_way_ + waiting_.size();
    result_.seconds = std::chrono::duration<double>(std::max(last_answer_, end_) - begin_).count();
    result_.sort();
    return std::move(result_);
  }

 private:
  bool open_loop() const { return plan_.rate > 0; }
  bool limited() const { return plan_.timeout.count() > 0; }

  bool over(TimePoint now) {
    if (plan_.stop != nullptr && plan_.stop->load(std::memory_order_relaxed)) {
      end_ = std::min(end_, now);
      return true;
    }
    if (now < end_) return false;
    return (under_way_ == 0 && waiting_.empty()) || now > end_ + kPatience;
  }

  // --- connections ---

  Failure unreachable(const char* why) const {
    return unavailable("unreachable",
                       "no answer from " + plan_.host + ":" + plan_.port + ": " + why);
  }

  // The first connections are made one after the other, so that a server that is not there is an
  // error and not a result.
  Result<void> connect_all() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int status = getaddrinfo(plan_.host.c_str(), plan_.port.c_str(), &hints, &found);
    if (status != 0) return unreachable(gai_strerror(status));
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
      std::memcpy(&address_.bytes, each->ai_addr, each->ai_addrlen);
      address_.size = each->ai_addrlen;
      if (connect_to_address(0)) break;
    }
    for (int i = 0; i < plan_.connections; ++i) {
      auto client = std::make_unique<Client>();
      client->socket = connect_to_address(0);
      if (!client->socket) return unreachable(std::strerror(errno));
      prepare(*client, EPOLLIN);
      clients_.push_back(std::move(client));
    }
    return {};
  }

  // Without a descriptor where it fails (errno says why). One that does not block may be under way.
  Fd connect_to_address(int flags) const {
    Fd out(socket(address_.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (!out) return out;
    const auto* address = reinterpret_cast<const sockaddr*>(&address_.bytes);
    if (connect(out.get(), address, address_.size) == 0 || errno == EINPROGRESS) return out;
    const int error = errno;
    out = Fd();
    errno = error;
    return out;
  }

  void prepare(Client& client, std::uint32_t events) {
    const int on = 1;
    setsockopt(client.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(client, EPOLL_CTL_ADD, events);
    client.used = false;
  }

  void watch(Client& client, int operation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &client;
    epoll_ctl(poll_.get(), operation, client.socket.get(), &event);
  }

  void reopen(Client& client) {
    client.socket = connect_to_address(SOCK_NONBLOCK);
    if (!client.socket) return rest(client);
    client.state = Client::State::kConnecting;
    prepare(client, EPOLLIN | EPOLLOUT);
  }

  // No connection can be had now; what waited for it has failed.
  void rest(Client& client) {
    client.socket = Fd();
    client.state = Client::State::kResting;
    if (std::exchange(client.pending, false)) fail();
    if (resting_.empty()) retry_at_ = Clock::now() + kRetry;
    resting_.push_back(&client);
  }

  void retry(TimePoint now) {
    if (resting_.empty() || now < retry_at_) return;
    std::vector<Client*> again;
    again.swap(resting_);
    for (Client* client : again) reopen(*client);
  }

  void on_connected(Client& client) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(client.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return rest(client);
    watch(client, EPOLL_CTL_MOD, EPOLLIN);
    if (client.pending) return send_request(client);
    next(client, Clock::now());
  }

  // The server closed, or said what is no answer.
  void on_closed(Client& client) {
    if (client.state == Client::State::kIdle) {
      client.socket = Fd();  // opened again when there is something to send
      return;
    }
    const bool silent = client.have == 0 && client.head.state == AnswerHead::State::kPartial;
    const bool again = client.used && silent;
    if (!again && std::exchange(client.pending, false)) fail();
    reopen(client);
  }

  // --- requests ---

  TimePoint due(std::uint64_t number) const {
    return begin_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(static_cast<double>(number) / plan_.rate));
  }

  // Open loop: what is due by now waits for a connection, and takes one where there is one.
  void dispatch(TimePoint now) {
    if (!open_loop()) return;
    for (auto at = due(arrivals_); at <= now && at < end_; at = due(arrivals_)) {
      waiting_.push_back(at);
      ++arrivals_;
    }
    while (limited() && !waiting_.empty() && now - waiting_.front() >= plan_.timeout) {
      waiting_.pop_front();
      ++result_.missed;
    }
    while (!waiting_.empty() && !idle_.empty()) {
      Client* client = idle_.back();
      idle_.pop_back();
      start(*client, take_waiting(now));
    }
  }

  TimePoint take_waiting(TimePoint now) {
    const bool newest = limited() && now - waiting_.front() >= plan_.timeout / 2;
    const auto out = newest ? waiting_.back() : waiting_.front();
    newest ? waiting_.pop_back() : waiting_.pop_front();
    return out;
  }

  // The client has nothing to do.
  void next(Client& client, TimePoint now) {
    client.state = Client::State::kIdle;
    if (!open_loop()) {
      if (now < end_) start(client, now);
      return;
    }
    idle_.push_back(&client);
    dispatch(now);
  }

  void start(Client& client, TimePoint since) {
    client.since = since;
    client.pending = true;
    ++under_way_;
    if (!client.socket) return reopen(client);
    send_request(client);
  }

  void send_request(Client& client) {
    client.state = Client::State::kBusy;
    client.sent = client.have = 0;
    client.body_left = 0;
    client.head = {};
    send_on(client);
  }

  void send_on(Client& client) {
    const bool went_on = client.sent > 0;
    const auto done = send(client.socket.get(), request_.data() + client.sent,
                           request_.size() - client.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
      // What the server said before it closed may still be there to read; if not, that tells.
      return;
    }
    client.sent += static_cast<std::size_t>(std::max<ssize_t>(done, 0));
    const bool whole = client.sent == request_.size();
    if (!whole) watch(client, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    if (whole && went_on) watch(client, EPOLL_CTL_MOD, EPOLLIN);
  }

  void on_event(Client& client, std::uint32_t events) {
    if (client.state == Client::State::kConnecting) return on_connected(client);
    if ((events & EPOLLOUT) != 0 && client.sent < request_.size()) send_on(client);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(client);
  }

  void read(Client& client) {
    const auto got = recv(client.socket.get(), client.buffer.data() + client.have,
                          client.buffer.size() - client.have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    const bool whole_head = client.head.state == AnswerHead::State::kWhole;
    if (got <= 0) {
      const bool finished = got == 0 && whole_head && client.head.to_end;
      return finished ? done(client) : on_closed(client);
    }
    if (client.state != Client::State::kBusy) return on_closed(client);  // nobody asked
    auto bytes = static_cast<std::uint64_t>(got);
    if (!whole_head) {
      client.have += bytes;
      client.head = read_answer_head({client.buffer.data(), client.have});
      if (client.head.state == AnswerHead::State::kBroken) return on_closed(client);
      if (client.head.state == AnswerHead::State::kPartial) {
        if (client.have == client.buffer.size()) on_closed(client);
        return;
      }
      bytes = client.have - client.head.head_size;
      client.have = 0;
      client.body_left = client.head.body_size;
    }
    if (client.head.to_end) return;
    client.body_left -= std::min(client.body_left, bytes);
    if (client.body_left == 0) done(client);
  }

  void done(Client& client) {
    const auto now = last_answer_ = Clock::now();
    --under_way_;
    client.pending = false;
    client.used = true;
    result_.count(client.head.status,
                  std::chrono::duration<float, std::micro>(now - client.since).count(), limit_);
    // A server that answered before it had the whole request would take its rest for the next one.
    if (client.head.close || client.sent < request_.size()) client.socket = Fd();
    next(client, now);
  }

  void fail() {
    --under_way_;
    ++result_.failed;
  }

  // --- time ---

  // Until an answer comes, or a request is due for which there is a connection.
  std::size_t wait(TimePoint now, std::array<epoll_event, 256>& events) {
    auto until = now + kLongestWait;
    if (now < end_) until = std::min(until, end_);
    if (!resting_.empty()) until = std::min(until, retry_at_);
    if (open_loop() && !idle_.empty()) {
      if (const auto at = due(arrivals_); at < end_) until = std::min(until, at);
    }
    const auto left = std::max(Clock::duration::zero(), until - now);
    timespec time{};
    time.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const int size = static_cast<int>(events.size());
    int count = epoll_pwait2(poll_.get(), events.data(), size, &time, nullptr);
    if (count < 0 && errno != EINTR) {
      // A kernel before 5.11, or a sandbox that does not know the call: whole milliseconds.
      const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
      count = epoll_wait(poll_.get(), events.data(), size, static_cast<int>(millis));
    }
    return static_cast<std::size_t>(std::max(count, 0));
  }

  const LoadPlan& plan_;
  const float limit_;  // microseconds
  std::string request_;
  Address address_;
  Fd poll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  std::vector<Client*> resting_;
  TimePoint retry_at_;
  std::deque<TimePoint> waiting_;  // at most rate * time-out of them, where there is one
  TimePoint begin_;
  TimePoint end_;
  TimePoint last_answer_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t under_way_ = 0;
  LoadResult result_;
};

}  // namespace

Result<LoadResult> run_http_load(const LoadPlan& plan) { return Load(plan).run(); }

}  // namespace sluice::tools
