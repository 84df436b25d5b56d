// A record as one JSON object: the prediction log's line (docs/prediction-log.md) and, with a few
// fields more, what `/api/models/{m}/recent` shows. No more of it than `log:` in model.yaml allows.
//
// `features` is the row as the simple API takes it (flat, whatever its dimensions), a list of rows
// where a list of rows came, an object by input's name where the model has several inputs; a text
// "h:…" where they are hashed, null where they are off or were too large to be kept.
//
// Where features were fetched, `entity_id` says whose they are (as far as `log.user_id` allows),
// `features_used` what the model saw by name, and `feature_times` of when that was.
//
// Hashes are HMAC-SHA256 with a key (its first 16 hex digits): equal values have equal hashes under
// one key, and who does not have the key cannot try values out.
//
// Thread-safety: plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json_writer.h"
#include "core/signature.h"
#include "core/watch_config.h"
#include "observers/record.h"

namespace sluice::observers {

struct RecordStyle {
  const Signature* signature = nullptr;  // for the names of inputs; null: they have numbers
  LogOptions privacy;
  std::string_view key;  // of hashes
};

// "2026-11-26T17:00:00.123456Z"
std::string utc_text(std::int64_t ns_since_1970);
std::string keyed_hash(std::string_view key, std::string_view text);

// As the log may show it; nothing where there is none, or it must not be shown.
std::optional<std::string> user_shown(const Record& record, const RecordStyle& style);

// The contract's fields, and what a release chose by: of an object that is open.
void write_record(const Record& record, const RecordStyle& style, JsonWriter& json);
// Of a record's features alone.
void write_features(const Record& record, const RecordStyle& style, JsonWriter& json);
// Whose features were fetched, as a value; hashed or null as users are.
void write_entity(const Record& record, const RecordStyle& style, JsonWriter& json);
void write_prediction(const Record& record, JsonWriter& json);
void write_confidence(const Record& record, JsonWriter& json);

}  // namespace sluice::observers
