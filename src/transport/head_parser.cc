#include "transport/head_parser.h"

// Boost 1.74 with g++ 12 needs these two before Asio.
#include <exception>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

namespace sluice::transport {
namespace {

namespace beast = boost::beast;
using beast::error_code;
using Text = beast::string_view;

std::string_view view(Text text) { return {text.data(), text.size()}; }

class HeadParser final : public beast::http::basic_parser<true> {
 public:
  HeadParser(RequestHead& out, std::string_view& target) : out_(out), target_(target) {
    skip(true);  // the body is ours
    header_limit(1 << 20);
    body_limit(boost::none);
  }

 private:
  void on_request_impl(beast::http::verb, Text method, Text target, int, error_code&) override {
    out_.method = view(method);
    target_ = view(target);
  }
  void on_response_impl(int, Text, int, error_code&) override {}
  void on_field_impl(beast::http::field, Text name, Text value, error_code&) override {
    out_.headers.push_back({view(name), view(value)});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(Text body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, error_code&) override {
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  RequestHead& out_;
  std::string_view& target_;
};

}  // namespace

std::expected<void, Refusal> parse_head(std::string_view head, RequestHead& out,
                                        std::string_view& target) {
  out.headers.clear();
  HeadParser parser(out, target);
  error_code error;
  // Beast reads the request line first and the fields with the next call.
  std::size_t used = 0;
  while (!error && !parser.is_header_done() && used < head.size()) {
    const auto step =
        parser.put(boost::asio::buffer(head.data() + used, head.size() - used), error);
    if (step == 0) break;
    used += step;
  }
  if (error || !parser.is_header_done()) {
    return std::unexpected(Refusal{400, "bad_request", "the request head is not valid HTTP"});
  }
  return {};
}

}  // namespace sluice::transport
