#include "transport/io_thread.h"

#include <pthread.h>

#include <array>
#include <ctime>
#include <vector>

#include "transport/connection.h"

namespace sluice::transport {
namespace {

constexpr std::chrono::milliseconds kTick{250};

}  // namespace

IoThread::IoThread(std::string name, const Services& services)
    : name_(std::move(name)), services_(services) {}

IoThread::~IoThread() { stop(); }

void IoThread::start() {
  thread_ = std::thread([this] { run(); });
}

void IoThread::run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  loop_.after(kTick, [this] { tick(); });
  loop_.run();
  connections_.clear();
  senders_.clear();
}

void IoThread::stop() {
  loop_.stop();
  if (thread_.joinable()) thread_.join();
}

void IoThread::adopt(Fd socket, Origin origin) {
  count_.fetch_add(1, std::memory_order_relaxed);
  loop_.post([this, socket = std::move(socket), origin]() mutable {
    auto connection = std::make_shared<Connection>(*this, std::move(socket), origin);
    connections_.insert(connection);
    connection->start();
    if (draining_) connection->drain();
  });
}

void IoThread::forget(const std::shared_ptr<Connection>& connection) {
  if (connections_.erase(connection) > 0) count_.fetch_sub(1, std::memory_order_relaxed);
}

void IoThread::send_at_end(std::shared_ptr<Connection> connection) {
  senders_.push_back(std::move(connection));
  if (senders_.size() > 1) return;
  loop_.at_end([this] {
    sending_.swap(senders_);
    for (const auto& each : sending_) each->send();
    sending_.clear();
  });
}

void IoThread::drain() {
  loop_.post([this] {
    draining_ = true;
    const std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
    for (const auto& connection : all) connection->drain();
  });
}

void IoThread::tick() {
  loop_.after(kTick, [this] { tick(); });
  date_.clear();
  if (services_.on_tick) services_.on_tick();
  const auto now = loop_.now();
  // A copy, since a connection may end itself.
  const std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
  for (const auto& connection : all) connection->tick(now);
}

const std::string& IoThread::date() {
  if (date_.empty()) {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, 40> text{};
    const auto length =
        std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    date_.assign(text.data(), length);
  }
  return date_;
}

}  // namespace sluice::transport
