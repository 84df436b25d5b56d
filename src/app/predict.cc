// sluice predict

#include <CLI/CLI.hpp>
#include <cstdio>
#include <future>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/http_client.h"
#include "app/stack.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "codecs/simple_json.h"

namespace sluice::app {
namespace {

using nlohmann::json;

struct Arguments {
  LoadFlags load_flags;
  std::string model;
  std::string version;
  std::string data;
  std::string input;
  std::string url;
  bool debug = false;
  bool json = false;
};

Result<std::string> read_input(const Arguments& arguments) {
  if (!arguments.data.empty()) return arguments.data;
  if (arguments.input.empty()) {
    return fail(Code::kInvalidArgument, "usage", "give the features with --data or --input");
  }
  if (arguments.input == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  return read_text(arguments.input, std::size_t{64} << 20, "the input file");
}

// Features alone become a request; a whole request stays as it is.
Result<std::string> make_body(const std::string& text, bool debug) {
  const auto parsed = json::parse(text, nullptr, false);
  if (parsed.is_discarded()) {
    return invalid("not_json", "the features are not valid JSON; write them like [1, 2, 3]");
  }
  if (parsed.is_object() && parsed.contains("features")) {
    if (!debug || parsed.contains("debug")) return text;
    return text.substr(0, text.rfind('}')) + ",\"debug\":true}";
  }
  return "{\"features\":" + text + (debug ? ",\"debug\":true}" : "}");
}

Result<HttpAnswer> ask_server(const Arguments& arguments, const std::string& body) {
  SLUICE_TRY(auto url, parse_url(arguments.url));
  url.path = "/models/" + arguments.model;
  if (!arguments.version.empty()) url.path += "/versions/" + arguments.version;
  url.path += "/predict";
  return http_request(url, "POST", body, std::chrono::seconds(60));
}

Result<HttpAnswer> ask_here(const Arguments& arguments, const std::string& body) {
  SLUICE_TRY(const auto stack, Stack::open(arguments.model, arguments.load_flags));
  SLUICE_CHECK(stack->load());
  std::string padded = body;
  padded.reserve(body.size() + codecs::json_padding());
  HttpAnswer answer;
  SLUICE_TRY(auto request, stack->request_to_only_model(arguments.version));
  request->wants_prediction = true;
  request->request_id = "local";
  SLUICE_CHECK(codecs::decode_simple_json(padded, request->servable->signature(), false, *request));
  std::optional<Error> error;
  // Explanations are made on a thread of their own.
  std::promise<void> answered;
  request->on_done = [&](Request* done) {
    answer.status = done->reply.error ? 400 : 200;
    if (done->reply.error) {
      error = done->reply.error;
    } else {
      codecs::encode_simple_json(*done, done->servable->model().str(),
                                 done->servable->version().str(), answer.body);
    }
    answered.set_value();
  };
  stack->pipeline().submit(std::move(request));
  answered.get_future().wait();
  if (error) return Failure(*error);
  return answer;
}

void print_for_people(const std::string& body) {
  const auto answer = json::parse(body, nullptr, false);
  for (const char* key : {"prediction", "label", "confidence", "model", "model_version"}) {
    if (!answer.contains(key)) continue;
    const auto& value = answer[key];
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    std::printf("%-14s %s\n", key, text.c_str());
  }
  for (const char* key : {"debug", "explanation"}) {
    if (answer.contains(key)) std::printf("%s\n%s\n", key, answer[key].dump(2).c_str());
  }
  for (const auto& warning : answer.value("warnings", json::array())) {
    std::fprintf(stderr, "sluice: warning: %s\n", warning.get<std::string>().c_str());
  }
}

int predict(const Arguments& arguments) {
  log::set_level(log::Level::kOff);
  auto text = read_input(arguments);
  if (!text) return complain(text.error());
  auto body = make_body(*text, arguments.debug);
  if (!body) return complain(body.error());
  auto answer = arguments.url.empty() ? ask_here(arguments, *body) : ask_server(arguments, *body);
  if (!answer) return complain(answer.error());
  if (answer->status != 200) {
    const auto parsed = json::parse(answer->body, nullptr, false);
    const auto error = parsed.is_object() ? parsed.value("error", json::object()) : json::object();
    const int exit = answer->status == 404   ? kNoInput
                     : answer->status >= 500 ? kUnavailable
                                             : kBadData;
    return complain(
        exit, error.value("message", "the server answered " + std::to_string(answer->status)));
  }
  if (arguments.json) {
    std::printf("%s\n", answer->body.c_str());
  } else {
    print_for_people(answer->body);
  }
  return kSuccess;
}

}  // namespace

Action add_predict(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("model", arguments->model, "model file, or a model's name with --url")->required();
  app.add_option("--data", arguments->data, "features as JSON: '[1, 2, 3]'");
  app.add_option("--input", arguments->input,
                 "file with features or a request as JSON; - is stdin");
  app.add_option("--version", arguments->version, "version of the model");
  app.add_option("--url", arguments->url, "ask this server: http://127.0.0.1:8000");
  add_load_flags(app, arguments->load_flags);
  app.add_flag("--debug", arguments->debug, "tell what is unusual, and where the time went");
  app.add_flag("--json", arguments->json, "print the answer as JSON");
  return [arguments] { return predict(*arguments); };
}

}  // namespace sluice::app
