#include "app/release.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "app/commands.h"

namespace sluice::app {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

ReleaseArguments arguments(std::string action, std::vector<std::string> values = {},
                           Options options = {}) {
  ReleaseArguments out;
  out.model = "fraud";
  out.action = std::move(action);
  out.values = std::move(values);
  out.options = std::move(options);
  return out;
}

// "METHOD PATH BODY", or why it was refused.
std::string called(const ReleaseArguments& arguments) {
  const auto call = release_call(arguments);
  if (!call) return std::string(call.error().reason);
  return call->method + " " + call->path + (call->body.empty() ? "" : " " + call->body);
}
std::string shadowed(const ReleaseArguments& arguments, const char* release) {
  const auto call = shadow_call(arguments, ReleaseJson::parse(release));
  if (!call) return "nothing";
  return call->method + " " + call->path + (call->body.empty() ? "" : " " + call->body);
}

std::string why(const ReleaseArguments& arguments) {
  const auto call = release_call(arguments);
  return call ? "" : call.error().message;
}

// --- what is asked ------------------------------------------------------------------------------

TEST(ReleaseCall, EachActionHasItsRequest) {
  const std::string path = "/api/models/fraud/release";
  EXPECT_EQ(called(arguments("status")), "GET " + path);
  EXPECT_EQ(called(arguments("remove")), "DELETE " + path);
  EXPECT_EQ(called(arguments("promote")), "POST " + path + "/promote");
  EXPECT_EQ(called(arguments("promote", {"v2"})), "POST " + path + R"(/promote {"version":"v2"})");
  EXPECT_EQ(called(arguments("rollback")), "POST " + path + "/rollback");
  EXPECT_EQ(called(arguments("pause")), "POST " + path + "/pause");
  EXPECT_EQ(called(arguments("resume")), "POST " + path + "/resume");
  EXPECT_EQ(called(arguments("shadow")), "GET /api/models/fraud/shadow");
}

TEST(ReleaseCall, AModelsNameCannotLeadElsewhere) {
  auto asked = arguments("status");
  asked.model = "../a b?c#d";
  EXPECT_EQ(called(asked), "GET /api/models/..%2Fa%20b%3Fc%23d/release");
}

TEST(ReleaseCall, ASplitKeepsTheOrderOfItsVersions) {
  EXPECT_EQ(called(arguments("split", {"v2=0.9", "v1=0.1"})),
            R"(PUT /api/models/fraud/release {"policy":"split","weights":{"v2":0.9,"v1":0.1}})");
  EXPECT_EQ(called(arguments("split", {"a=b=1"}, {{"assignment", "hash"}})),
            R"(PUT /api/models/fraud/release )"
            R"({"policy":"split","weights":{"a=b":1},"assignment":"hash"})");
}

TEST(ReleaseCall, ASplitThatCannotBeReadIsRefused) {
  for (const char* wrong : {"v1", "=0.5", "v1=", "v1=much", "v1=nan", "v1=inf", "v1=1e999"}) {
    EXPECT_EQ(called(arguments("split", {wrong})), "usage") << wrong;
  }
  EXPECT_EQ(called(arguments("split", {"v1=0.5", "v1=0.5"})), "usage");
  EXPECT_EQ(called(arguments("split")), "usage");
}

TEST(ReleaseCall, OnlyWhatIsGivenIsSent) {
  EXPECT_EQ(called(arguments("canary", {}, {{"stable", "v1"}, {"canary", "v2"}})),
            R"(PUT /api/models/fraud/release {"policy":"canary","stable":"v1","canary":"v2"})");
  EXPECT_EQ(called(arguments("canary", {},
                             {{"stable", "v1"},
                              {"canary", "2"},
                              {"start", "5"},
                              {"alpha", "0.01"},
                              {"interval", "60s"}})),
            R"(PUT /api/models/fraud/release {"policy":"canary","stable":"v1","canary":"2",)"
            R"("start":5,"alpha":0.01,"interval":"60s"})");
  EXPECT_EQ(called(arguments("bandit", {"v1", "v2"}, {{"algorithm", "ucb1"}, {"sticky", "true"}})),
            R"(PUT /api/models/fraud/release )"
            R"({"policy":"bandit","arms":["v1","v2"],"algorithm":"ucb1","sticky":true})");
}

TEST(ReleaseCall, EveryOptionIsSentByItsAction) {
  for (const auto& option : release_options()) {
    const std::string value = option.kind == ReleaseOption::Kind::kNumber ? "1" : "x";
    Options given = {{option.key, value}};
    std::vector<std::string> values;
    if (std::string(option.action) == "canary") {
      given.insert(given.begin(), {{"stable", "v1"}, {"canary", "v2"}});
    } else if (std::string(option.action) == "split") {
      values = {"v1=1"};
    } else {
      values = {"v1", "v2"};
    }
    const auto call = release_call(arguments(option.action, values, given));
    ASSERT_TRUE(call) << option.flag;
    EXPECT_TRUE(ReleaseJson::parse(call->body).contains(option.key)) << option.flag;
  }
}

TEST(ReleaseCall, WhatDoesNotBelongToTheActionIsRefused) {
  EXPECT_EQ(why(arguments("pause", {}, {{"stable", "v1"}})),
            "--stable does not belong to pause; see sluice release --help");
  EXPECT_EQ(called(arguments("canary", {}, {{"stable", "v1"}})), "usage") << "no canary";
  EXPECT_EQ(called(arguments("canary", {"v1"}, {{"stable", "v1"}, {"canary", "v2"}})), "usage");
  EXPECT_EQ(called(arguments("canary", {}, {{"stable", "a"}, {"canary", "b"}, {"step", "x"}})),
            "usage");
  EXPECT_EQ(called(arguments("bandit", {"v1"})), "usage");
  EXPECT_EQ(called(arguments("rollback", {"v1"})), "usage");
  EXPECT_EQ(called(arguments("promote", {"v1", "v2"})), "usage");
  EXPECT_EQ(called(arguments("explode")), "usage");
  auto asked = arguments("pause");
  asked.off = true;
  EXPECT_EQ(called(asked), "usage");
  asked = arguments("pause");
  asked.watch = true;
  EXPECT_EQ(called(asked), "usage");
  asked = arguments("shadow", {"v3"});
  asked.off = true;
  EXPECT_EQ(called(asked), "usage");
}

TEST(ReleaseCall, ARevisionGoesWithEveryChangeAndNoQuestion) {
  auto asked = arguments("rollback");
  asked.revision = 7;
  EXPECT_EQ(called(asked), R"(POST /api/models/fraud/release/rollback {"revision":7})");
  asked.action = "remove";
  EXPECT_EQ(called(asked), R"(DELETE /api/models/fraud/release {"revision":7})");
  asked.action = "split";
  asked.values = {"v1=1"};
  EXPECT_EQ(called(asked), R"(PUT /api/models/fraud/release )"
                           R"({"policy":"split","weights":{"v1":1},"revision":7})");
  asked.values.clear();
  asked.action = "status";
  EXPECT_EQ(called(asked), "usage");
  asked.action = "shadow";
  EXPECT_EQ(called(asked), "usage");
}

TEST(ReleaseCall, WhatIsNoTextStillMakesJson) {
  const auto call = release_call(arguments("promote", {"\xff"}));
  ASSERT_TRUE(call);
  EXPECT_TRUE(ReleaseJson::accept(call->body));
}

// --- shadows ------------------------------------------------------------------------------------

constexpr const char* kSplit = R"({"policy":"split","revision":3,
    "spec":{"policy":"split","weights":{"v1":1},"shadow":["v2"]}})";

TEST(ReleaseShadow, IsSetInTheReleaseThatIsThere) {
  EXPECT_EQ(called(arguments("shadow", {"v3"})), "GET /api/models/fraud/release");
  EXPECT_EQ(shadowed(arguments("shadow", {"v3", "v4"}), kSplit),
            R"(PUT /api/models/fraud/release {"policy":"split","weights":{"v1":1},)"
            R"("shadow":["v3","v4"],"revision":3})");
  auto asked = arguments("shadow", {"v3"});
  asked.revision = 2;
  EXPECT_TRUE(shadowed(asked, kSplit).ends_with(R"("revision":2})")) << "what was asked for";
}

TEST(ReleaseShadow, ANewReleaseIsMadeForIt) {
  EXPECT_EQ(shadowed(arguments("shadow", {"v3"}), R"({"policy":"none","revision":0})"),
            R"(PUT /api/models/fraud/release {"shadow":["v3"]})");
}

TEST(ReleaseShadow, OffTakesItOutAndLeavesTheRest) {
  auto off = arguments("shadow");
  off.off = true;
  EXPECT_EQ(shadowed(off, kSplit), R"(PUT /api/models/fraud/release )"
                                   R"({"policy":"split","weights":{"v1":1},"revision":3})");
  EXPECT_EQ(shadowed(off, R"({"policy":"none","revision":2,"spec":{"shadow":["v3"]}})"),
            R"(DELETE /api/models/fraud/release {"revision":2})");
  EXPECT_EQ(shadowed(off, R"({"policy":"split","revision":2,"spec":{"policy":"split"}})"),
            "nothing");
  EXPECT_EQ(shadowed(off, R"({"policy":"none","revision":0})"), "nothing");
}

// --- what is shown ------------------------------------------------------------------------------

ReleaseJson canary() {
  return ReleaseJson::parse(R"({"model":"fraud","policy":"canary","state":"running","revision":3,
    "source":"api","salt":"3","sticky":true,"weights":{"v1":0.95,"v2":0.05},"spec":{},
    "shadow":["v3"],
    "arms":{"v1":{"requests":1900,"errors":2,"error_rate":0.001,"p50":1.2,"p95":3.4},
            "v2":{"requests":100,"errors":1,"error_rate":0.01,"p50":1.3,"p95":3.5}},
    "summary":{"verdict":"open","verdict_reason":"too little is known",
      "metrics":[{"metric":"errors","e":10,"limit":100},{"metric":"latency","e":0.1,"limit":100},
                 {"metric":"finite","e":500,"limit":100},{"metric":"no_evidence"}]},
    "sample_ratio":{"e":0.1,"alarm":false},
    "history":[{"time":"t1","decision":"start","by":"api","reason":"first"},
      {"time":"t2","decision":"step","by":"policy","reason":"second"},
      {"time":"t3","decision":"step","by":"policy","reason":"third"},
      {"time":"t4","decision":"step","by":"policy","reason":"fourth"},
      {"time":"t5","decision":"step","by":"policy","reason":"fifth"},
      {"time":"t6","decision":"step","by":"policy","reason":"sixth"}]})");
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
// The line that begins with this.
std::string line(const std::string& text, std::string_view start) {
  const auto at = text.find("\n" + std::string(start));
  if (at == std::string::npos) return "";
  return text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}

TEST(ReleaseView, ShowsArmsSharesAndDecisions) {
  const auto view = release_view(canary());
  EXPECT_TRUE(view.starts_with("fraud  canary, running  revision 3 (api)\n")) << view;
  for (const char* part : {"95.00%", "1900", "0.100%", "1.20", "3.40"}) {
    EXPECT_TRUE(has(line(view, "v1 "), part)) << part << " in\n" << view;
  }
  EXPECT_TRUE(has(line(view, "v2 "), "5.00%")) << view;
  EXPECT_EQ(line(view, "shadow"), "shadow  v3");
  EXPECT_EQ(line(view, "verdict"), "verdict  open: too little is known");
  EXPECT_FALSE(has(view, "first")) << "only the last five";
  EXPECT_LT(view.find("second"), view.find("sixth"));
  EXPECT_FALSE(has(view, "WARNING"));
}

TEST(ReleaseView, TheBarIsAsLongAsTheEvidenceIsStrong) {
  const auto view = release_view(canary());
  EXPECT_TRUE(has(line(view, "errors "), "[##########..........] 10 of 100")) << view;
  EXPECT_TRUE(has(line(view, "latency "), "[....................] 0.1 of 100")) << view;
  EXPECT_TRUE(has(line(view, "finite "), "[####################] 500 of 100")) << view;
  EXPECT_FALSE(has(view, "no_evidence"));
}

TEST(ReleaseView, SaysWhatItWaitsForAmongReplicas) {
  auto release = canary();
  release["fleet"] = {{"connected", true}, {"leads", true}, {"replicas", 3}, {"waits", false}};
  const auto usual = release_view(release);
  EXPECT_FALSE(has(usual, "WARNING") || has(usual, "WAITS"));
  release["fleet"]["waits"] = true;
  EXPECT_TRUE(has(line(release_view(release), "WAITS"), "a replica is not heard of"));
  release["fleet"]["connected"] = false;
  EXPECT_TRUE(has(line(release_view(release), "WARNING"), "cannot be reached"));
}

TEST(ReleaseView, RowsOfNumbersAreReadAcross) {
  EXPECT_EQ(outline(ReleaseJson::parse(R"({"inputs":{"x":[1,2.5,"a"]},"e":[]})")),
            "inputs\n  x  1, 2.5, a\ne  none\n");
}

TEST(ReleaseView, ShowsWhatABanditHasLearned) {
  const auto view = release_view(ReleaseJson::parse(R"({"model":"fraud","policy":"bandit",
    "state":"running","revision":1,"weights":{"v1":0.3,"v2":0.7},"arms":{},
    "summary":{"algorithm":"thompson","best":"v2","bandit":{
      "v1":{"count":10,"avg_reward":0.25,"selection_rate":0.3,"interval":[0.1,0.5],"pending":4},
      "v2":{"count":20,"avg_reward":0.75,"selection_rate":0.7,"interval":null,"pending":0}}}})"));
  EXPECT_EQ(line(view, "thompson"), "thompson, best so far v2");
  EXPECT_TRUE(has(view, "0.1 to 0.5")) << view;
  EXPECT_TRUE(has(view, "0.75")) << view;
}

TEST(ReleaseView, SaysWhenVersionsCannotBeCompared) {
  auto release = canary();
  release["sample_ratio"]["alarm"] = true;
  EXPECT_TRUE(has(release_view(release), "WARNING"));
}

TEST(ReleaseView, SaysThatThereIsNone) {
  const auto view = release_view(
      ReleaseJson::parse(R"({"model":"fraud","policy":"none","weights":{"v2":1.0},"revision":0})"));
  EXPECT_TRUE(view.starts_with("fraud has no release\n")) << view;
  EXPECT_TRUE(has(line(view, "v2 "), "100.00%")) << view;
}

TEST(ReleaseView, NothingTheServerSendsSteersTheTerminal) {
  const std::string evil = "a\x1b[2Jb\nc\xC2\x9B";
  auto release = canary();
  for (const char* key : {"model", "policy", "state", "source"}) release[key] = evil;
  release["weights"][evil] = 0.5;
  release["shadow"] = {evil};
  release["summary"]["verdict"] = release["summary"]["verdict_reason"] = evil;
  release["summary"]["metrics"][0]["metric"] = evil;
  release["summary"]["bandit"][evil] = {{"count", 1}};
  release["summary"]["algorithm"] = release["summary"]["best"] = evil;
  release["history"][5] = {{"time", evil}, {"decision", evil}, {"by", evil}, {"reason", evil}};
  for (const auto& text : {release_view(release), outline(release), outline(ReleaseJson(evil)),
                           release_error_message(400, ReleaseJson{{"error", evil}}.dump())}) {
    EXPECT_TRUE(has(text, "a?[2Jb?c?")) << text;
    EXPECT_FALSE(has(text, "\x1b"));
    EXPECT_FALSE(has(text, "\xC2\x9B"));
    EXPECT_FALSE(has(text, "b\nc"));
  }
}

// Each value in turn is replaced by one of every other type.
TEST(ReleaseView, AnAnswerOfAnotherShapeIsShownAsFarAsItGoes) {
  const auto whole = canary();
  const auto flat = whole.flatten();
  int shown = 0;
  for (const char* other : {"null", "5", "\"x\"", "[1]", "{\"a\":{}}", "true", "-1e300"}) {
    for (const auto& [path, unused] : flat.items()) {
      for (auto at = ReleaseJson::json_pointer(path); !at.empty(); at = at.parent_pointer()) {
        auto release = whole;
        release[at] = ReleaseJson::parse(other);
        shown += release_view(release).empty() ? 0 : 1;
        shown += outline(release).empty() ? 0 : 1;
      }
    }
    shown += release_view(ReleaseJson::parse(other)).empty() ? 0 : 1;
  }
  EXPECT_GT(shown, 1000);
}

TEST(ReleaseView, AnOutlineHasALineForEachValue) {
  EXPECT_EQ(outline(ReleaseJson::parse(R"({"a":1,"b":{"c":"x","d":[true,{}]},"e":[]})")),
            "a  1\nb\n  c  x\n  d\n    -  true\n    -  none\ne  none\n");
  const auto deep = ReleaseJson::parse(std::string(5000, '[') + std::string(5000, ']'));
  EXPECT_TRUE(outline(deep).ends_with("-  ...\n"));
}

// --- exit codes ---------------------------------------------------------------------------------

TEST(ReleaseExit, WatchingEndsWhenTheReleaseDoes) {
  const auto ends = [](const char* text) { return watch_exit(ReleaseJson::parse(text)); };
  EXPECT_EQ(ends(R"({"policy":"canary","state":"running"})"), std::nullopt);
  EXPECT_EQ(ends(R"({"policy":"canary","state":"paused"})"), std::nullopt);
  EXPECT_EQ(ends(R"({"policy":"canary","state":"promoted"})"), 0);
  EXPECT_EQ(ends(R"({"policy":"canary","state":"rolled_back"})"), 1);
  EXPECT_EQ(ends(R"({"policy":"canary","state":"inconclusive"})"), 1);
  EXPECT_EQ(ends(R"({"policy":"none","state":"running"})"), 1);
}

TEST(ReleaseExit, FollowsTheStatus) {
  for (const int status : {400, 404, 409, 422}) EXPECT_EQ(release_error_exit(status), kBadData);
  EXPECT_EQ(release_error_exit(503), kUnavailable);
  EXPECT_EQ(release_error_exit(500), kInternal);
  EXPECT_EQ(release_error_message(409, R"({"error":{"message":"it has gone on"}})"),
            "it has gone on");
  EXPECT_EQ(release_error_message(409, R"({"error":"it has gone on"})"), "it has gone on");
  for (const char* odd : {"", "<html>", "{}", R"({"error":5})", R"({"error":{"message":[]}})"}) {
    EXPECT_NE(release_error_message(404, odd).find("404"), std::string::npos) << odd;
  }
}

}  // namespace
}  // namespace sluice::app
