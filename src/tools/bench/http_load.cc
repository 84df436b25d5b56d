#include "tools/bench/http_load.h"

// Boost 1.74 with g++ 12 needs these two before Asio.
#include <exception>
#include <utility>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <memory>
#include <optional>

#include "base/text.h"

namespace sluice::tools {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxSamples = 50'000'000;

struct Head {
  int status = 0;
  std::size_t size = 0;  // of the whole answer
};

// The status and length of the answer at the front of `text`, once its head is complete.
std::optional<Head> read_head(std::string_view text) {
  const auto end = text.find("\r\n\r\n");
  if (end == std::string_view::npos || text.size() < 12) return std::nullopt;
  Head out;
  out.status = static_cast<int>(parse_uint(text.substr(9, 3)).value_or(0));
  std::size_t length = 0;
  for (const auto line : split(text.substr(0, end), '\n')) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !iequals(line.substr(0, colon), "content-length")) {
      continue;
    }
    auto value = trim(line.substr(colon + 1));
    if (value.ends_with('\r')) value.remove_suffix(1);
    length = parse_uint(value).value_or(0);
  }
  out.size = end + 4 + length;
  return out;
}

class Load {
 public:
  explicit Load(const LoadPlan& plan) : plan_(plan), timer_(loop_) {
    const std::string method = plan.body.empty() ? "GET" : "POST";
    request_ = method + " " + plan.path + " HTTP/1.1\r\nHost: " + plan.host + "\r\n";
    if (!plan.body.empty()) {
      request_ +=
          "Content-Type: application/json\r\nContent-Length: " + std::to_string(plan.body.size()) +
          "\r\n";
    }
    request_ += "\r\n" + plan.body;
  }

  Result<LoadResult> run() {
    error_code error;
    tcp::resolver resolver(loop_);
    const auto found = resolver.resolve(plan_.host, plan_.port, error);
    if (error) return unreachable(error);
    for (int i = 0; i < plan_.connections; ++i) {
      auto client = std::make_unique<Client>(loop_);
      asio::connect(client->socket, found, error);
      if (error) return unreachable(error);
      client->socket.set_option(tcp::no_delay(true), error);
      clients_.push_back(std::move(client));
    }
    begin_ = Clock::now();
    end_ = begin_ + plan_.duration;
    if (plan_.rate > 0) {
      for (auto& client : clients_) idle_.push_back(client.get());
      arrive();
    } else {
      for (auto& client : clients_) start(*client, Clock::now());
    }
    // A server that does not answer any more ends the measurement, not the user's patience.
    loop_.run_until(end_ + std::chrono::seconds(10));
    result_.failed += in_flight_ + waiting_.size();
    result_.seconds = std::chrono::duration<double>(std::min(Clock::now(), end_) - begin_).count();
    std::ranges::sort(result_.micros);
    return std::move(result_);
  }

 private:
  struct Client {
    explicit Client(asio::io_context& loop) : socket(loop) {}
    tcp::socket socket;
    std::string answer;
    std::array<char, 16384> chunk;
    Clock::time_point since;
  };

  Failure unreachable(const error_code& error) const {
    return unavailable("unreachable",
                       "no answer from " + plan_.host + ":" + plan_.port + ": " + error.message());
  }

  // Open loop: everything that is due by now starts or waits for a connection.
  void arrive() {
    const auto now = Clock::now();
    while (true) {
      const auto due =
          begin_ + std::chrono::duration_cast<Clock::duration>(
                       std::chrono::duration<double>(static_cast<double>(arrivals_) / plan_.rate));
      if (due >= end_) return;
      if (due > now) {
        timer_.expires_at(due);
        timer_.async_wait([this](const error_code&) { arrive(); });
        return;
      }
      ++arrivals_;
      if (idle_.empty()) {
        waiting_.push_back(due);
      } else {
        Client* client = idle_.back();
        idle_.pop_back();
        start(*client, due);
      }
    }
  }

  void start(Client& client, Clock::time_point since) {
    client.since = since;
    ++in_flight_;
    asio::async_write(client.socket, asio::buffer(request_),
                      [this, &client](const error_code& error, std::size_t) {
                        if (error) return lost();
                        read(client);
                      });
  }

  void read(Client& client) {
    client.socket.async_read_some(asio::buffer(client.chunk),
                                  [this, &client](const error_code& error, std::size_t bytes) {
                                    if (error) return lost();
                                    client.answer.append(client.chunk.data(), bytes);
                                    const auto head = read_head(client.answer);
                                    if (!head || client.answer.size() < head->size) {
                                      return read(client);
                                    }
                                    client.answer.erase(0, head->size);
                                    done(client, head->status);
                                  });
  }

  void done(Client& client, int status) {
    const auto now = Clock::now();
    --in_flight_;
    ++result_.answered;
    if (status < 200 || status > 299) ++result_.refused;
    if (result_.micros.size() < kMaxSamples) {
      result_.micros.push_back(
          std::chrono::duration<float, std::micro>(now - client.since).count());
    }
    if (plan_.rate > 0) {
      if (waiting_.empty()) {
        idle_.push_back(&client);
      } else {
        const auto since = waiting_.front();
        waiting_.pop_front();
        start(client, since);
      }
    } else if (now < end_) {
      start(client, now);
    }
  }

  void lost() {
    --in_flight_;
    ++result_.failed;
  }

  const LoadPlan& plan_;
  asio::io_context loop_{1};
  asio::steady_timer timer_;
  std::string request_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  std::deque<Clock::time_point> waiting_;
  Clock::time_point begin_;
  Clock::time_point end_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t in_flight_ = 0;
  LoadResult result_;
};

}  // namespace

double LoadResult::quantile(double q) const {
  if (micros.empty()) return 0;
  const auto at = static_cast<std::size_t>(q * static_cast<double>(micros.size() - 1));
  return static_cast<double>(micros[at]);
}

Result<LoadResult> run_http_load(const LoadPlan& plan) { return Load(plan).run(); }

}  // namespace sluice::tools
