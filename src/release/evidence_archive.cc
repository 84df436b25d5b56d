#include "release/evidence_archive.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace sluice::release {
namespace {

constexpr std::string_view kEvidence = "evidence";
constexpr std::string_view kUsers = "users";
constexpr std::string_view kFeedback = "feedback";
// In the evidence: up to when what waited has expired, and was paid where that is worth anything.
constexpr const char* kExpired = "expired_before";

// Of a piece of what waits for feedback: a few megabytes.
constexpr std::size_t kMostInPiece = 80'000;  // entries

std::vector<std::string_view> parts_of(std::string_view news) {
  constexpr std::size_t kMost = kMostInPiece * FeedbackBook::kEntryBytes;
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < news.size(); at += kMost) out.push_back(news.substr(at, kMost));
  return out;
}

json evidence_of(RunningRelease& release) {
  auto out = release.evidence();
  out[kExpired] = static_cast<std::uint64_t>(release.book().expired_before());
  return out;
}

}  // namespace

Result<void> EvidenceArchive::save(RunningRelease& release, WallMillis now) {
  const auto& name = release.model().str();
  Pieces& pieces = pieces_[name];
  const auto users = release.users_since();
  const auto news = release.book().news();
  const auto parts = parts_of(news);
  std::vector<SavedPiece> with;
  if (!users.empty()) with.push_back({kUsers, pieces.next_users, users});
  for (std::size_t i = 0; i < parts.size(); ++i) {
    with.push_back({kFeedback, pieces.next_feedback + i, parts[i]});
  }
  SLUICE_CHECK(store_.save(kEvidence, name, text_of(evidence_of(release)), with));
  for (const auto part : parts) {
    keep(pieces, {pieces.next_feedback, now, FeedbackBook::entries(part)});
  }
  if (!users.empty()) ++pieces.next_users;
  release.dirty = false;
  release.forget_users_since();
  release.book().forget_news();
  if (!parts.empty()) drop_old(release, pieces, now);
  return {};
}

void EvidenceArchive::keep(Pieces& pieces, Piece piece) {
  pieces.feedback.push_back(piece);
  pieces.entries += piece.entries;
  pieces.next_feedback = std::max(pieces.next_feedback, piece.number + 1);
}

void EvidenceArchive::drop_old(const RunningRelease& release, Pieces& pieces, WallMillis now) {
  // A request is written when it comes and when it is answered.
  constexpr std::size_t kMost = 2 * FeedbackBook::kMost;
  const auto over = now - release.policy().reward_ttl().count();
  auto& kept = pieces.feedback;
  bool drops = false;
  while (!kept.empty() && (kept.front().at < over || pieces.entries > kMost)) {
    pieces.entries -= kept.front().entries;
    kept.pop_front();
    drops = true;
  }
  if (!drops) return;
  const auto below = kept.empty() ? pieces.next_feedback : kept.front().number;
  (void)store_.drop_blobs(kFeedback, release.model().str(), below);
}

Result<void> EvidenceArchive::restore(RunningRelease& release, const json& document) {
  const auto& name = release.model().str();
  SLUICE_TRY(const auto saved, store_.saved(kEvidence, name));
  const json evidence = saved ? parsed(*saved) : json();
  release.restore(document, evidence);
  Pieces& pieces = pieces_[name] = {};
  SLUICE_TRY(const auto users, store_.blobs(kUsers, name));
  for (const auto& blob : users) {
    release.restore_users(blob.bytes);
    pieces.next_users = blob.number + 1;
  }
  SLUICE_TRY(const auto feedback, store_.blobs(kFeedback, name));
  for (const auto& blob : feedback) {
    release.book().restore(blob.bytes);
    keep(pieces,
         {blob.number, FeedbackBook::newest(blob.bytes), FeedbackBook::entries(blob.bytes)});
  }
  // The evidence has what came of these: they are not paid again.
  release.book().expire(static_cast<WallMillis>(count_in(evidence, kExpired)));
  return {};
}

void EvidenceArchive::begin_anew(const std::string& model) {
  Pieces& pieces = pieces_[model];
  (void)store_.drop_blobs(kFeedback, model, pieces.next_feedback);
  (void)store_.drop_blobs(kUsers, model, pieces.next_users);
  pieces.feedback.clear();
  pieces.entries = 0;
}

void EvidenceArchive::forget(const std::string& model) {
  (void)store_.forget(kEvidence, model);
  begin_anew(model);
}

}  // namespace sluice::release
