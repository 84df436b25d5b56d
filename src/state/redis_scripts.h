// What Redis does by itself, as one step each: programs in its Lua.
//
// The whole state is under one prefix, whose part in braces is the same for all of it, so that one
// slot has it (Redis Cluster's hash tags). KEYS[1] is the prefix; what a program touches it names
// itself. Each answers a list of texts; where it may be refused the first is "ok", "fenced" or
// "conflict". Under the prefix:
//
//   counts             hash: life, token, number (published), place and total (of events: how many
//                      there ever were, and their bytes), forgotten (of `total`)
//   documents:KIND     hash by key: "REVISION BODY"
//   revisions:KIND     hash by key; those of removed documents stay
//   saved:KIND         hash by key
//   journal:NAME       hash: "n" how many there are, and each by its number from 1
//   blobs:NAME         hash by number, twenty digits
//   numbers:NAME       sorted set of these numbers, all of score 0: by their digits
//   lease              who leads; it expires
//   beats              sorted set of replicas by their last beat, milliseconds since 1970
//   heard, said        hashes by replica: what it follows; the newest event of it that was kept
//   events             stream with ids PLACE-0: r replica, b bytes, t `total` behind it
//   published, texts   sorted set of models by number; hash by model
//   agreed             hash by name
//   questions          list of letters: time, from, id, text
//   answers:REPLICA    likewise
//
// Numbers stay exact up to 2^53, as Lua's do; of blobs all 64 bits are kept, as texts.
//
// Thread-safety: constants.
#pragma once

#include <initializer_list>
#include <string>

namespace sluice::state {

// A program, and what Redis calls it.
struct RedisScript {
  RedisScript(std::initializer_list<const char*> parts);

  std::string program;
  std::string digest;
};

struct RedisScripts {
  // token, kind, key, expected, body[, journal's name, entry] -> ok REVISION
  RedisScript put;
  // token, kind, key, expected[, journal's name, entry]
  RedisScript remove;
  // token, kind, key, body, then for each piece: name, number, bytes
  RedisScript save;
  // token, kind, key
  RedisScript forget;
  // token, name, number, bytes
  RedisScript put_blob;
  // token, name, number
  RedisScript drop_blobs;

  // replica, wants ("1"), heard, sequence, event, milliseconds (lease, gone, letter), most
  // (letters, bytes waiting), number of questions, for each from, id, text; then answers likewise
  // -> now, life, leader, token, kept ("1"), number of published, for each model, number, text;
  //    then answers, questions: from, id, text; then replicas: name, heard,
  //    milliseconds since its last beat
  RedisScript beat;
  // replica, milliseconds (gone)
  RedisScript leave;
  // name, text -> the text
  RedisScript agree;
  // token, model, text -> ok NUMBER
  RedisScript publish;
  // token, place, bytes about -> ok, then for each: place, replica, bytes
  RedisScript events;
  // token, place
  RedisScript forget_events;

  // -> INFO's memory and replication
  RedisScript look;
};

// Made at the first call.
const RedisScripts& redis_scripts();

}  // namespace sluice::state
