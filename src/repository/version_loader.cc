#include "repository/version_loader.h"

#include <algorithm>
#include <chrono>

#include "base/memory.h"
#include "base/text.h"
#include "repository/hosted_version.h"

namespace sluice::repository {
namespace {

// What a model leaves behind in the allocator goes back to the system, but not each time: it holds
// up whoever allocates.
void tidy_up() {
  using Clock = std::chrono::steady_clock;
  static Clock::time_point last{};
  const auto now = Clock::now();
  if (now - last < std::chrono::seconds(5)) return;
  last = now;
  give_memory_back();
}

}  // namespace

VersionLoader::VersionLoader(Source& source, const Registry<Engine>& engines,
                             const ServableFactory& servables, const Probe* probe, int parallel)
    : source_(source),
      engines_(engines),
      servables_(servables),
      probe_(probe),
      parallel_(parallel) {}

Result<VersionLoader::Choice> VersionLoader::choose_engine(const WantedModel& model,
                                                           const ModelFile& file) const {
  const auto& wanted = model.config.engine;
  if (!wanted.empty()) {
    if (const Engine* engine = engines_.find(wanted)) return Choice{wanted, engine};
    return invalid("bad_config", "there is no engine '" + printable(wanted) + "'; this build has " +
                                     join_and(engines_.names()));
  }
  for (const auto& [name, candidate] : engines_.items()) {
    if (candidate->accepts(file)) return Choice{name, candidate.get()};
  }
  return invalid("bad_model", "no engine knows this kind of file");
}

Result<std::optional<LoadedVersion>> VersionLoader::load(LoadJob& job) const {
  if (!job.version.problem.empty()) return invalid("bad_model", job.version.problem);
  // Let go of when it is loaded.
  auto file = std::exchange(job.fetched, std::nullopt);
  if (!file) {
    SLUICE_TRY(file, source_.open_near(job.version));
  }
  if (!file) return std::optional<LoadedVersion>();
  SLUICE_TRY(auto loaded, load_file(job, *file));
  return std::optional(std::move(loaded));
}

Result<void> VersionLoader::fetch(LoadJob& job) const {
  SLUICE_TRY(job.fetched, source_.open_far(job.version, *job.abandoned));
  return {};
}

Result<LoadedVersion> VersionLoader::load_file(const LoadJob& job, const ModelFile& file) const {
  const auto& [model, version] = std::tie(job.model, job.version);
  SLUICE_TRY(const auto choice, choose_engine(model, file));
  const bool may_be_program = model.config.allow_pickle || job.allow_code;
  if (choice.engine->runs_code() && !may_be_program) {
    return invalid("not_allowed",
                   "a file of this kind is a program: whoever made it decides what this server "
                   "does when it is loaded. If you trust it, start with --allow-pickle, or set "
                   "allow_pickle: true in model.yaml; else export the model to ONNX");
  }
  const auto instances = static_cast<int>(model.config.instances.count);
  const auto& python = model.config.python;
  LoadOptions options;
  options.threads = static_cast<int>(model.config.threads);
  options.parallel = instances > 0 ? instances : parallel_;
  options.allow_code = may_be_program;
  options.process = {python.memory.value, python.load_timeout, python.run_timeout};
  options.name = "model " + model.name.str() + " version " + version.name.str();
  options.abandoned = job.abandoned.get();
  LoadedVersion out;
  out.bytes = file.contents.bytes().size();
  std::shared_ptr<const ModelHost> apart;
  if (probe_ != nullptr && !choice.engine->isolated()) {
    const auto warmup = static_cast<int>(std::min<std::int64_t>(model.config.warmup, 8));
    const Trial trial{choice.name, options, warmup, job.abandoned.get()};
    SLUICE_TRY(const auto measured, probe_->try_model(file, trial));
    out.bytes = std::max(out.bytes, measured);
    apart = host_of(file, version, trial);
  }
  SLUICE_TRY(auto loaded, choice.engine->load(file, options));
  out.bytes = std::max(out.bytes, loaded->bytes_elsewhere());
  SLUICE_TRY(auto servable, servables_.make(model.name, version.name, std::move(loaded),
                                            model.config, parallel_, job.tally, std::move(apart)));
  SLUICE_CHECK(servable->warm_up());
  out.servable = reaped(std::move(servable));
  return out;
}

std::shared_ptr<const ModelHost> VersionLoader::host_of(const ModelFile& file,
                                                        const WantedVersion& version,
                                                        Trial trial) const {
  trial.abandoned = nullptr;
  trial.options.abandoned = nullptr;
  trial.options.parallel = 1;  // one run at a time
  const auto open = [&source = source_, version] { return source.open(version); };
  return make_version_host(*probe_, {open, FileIdentity::of(file), std::move(trial)});
}

void VersionLoader::close_all() const {
  std::vector<std::weak_ptr<const Servable>> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(loaded_);
  }
  for (const auto& each : all) {
    if (const auto servable = each.lock()) servable->close();
  }
}

std::shared_ptr<const Servable> VersionLoader::reaped(
    std::shared_ptr<const Servable> servable) const {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(loaded_, [](const auto& each) { return each.expired(); });
    loaded_.push_back(servable);
  }
  const Servable* raw = servable.get();
  return {raw, [kept = std::move(servable), reaper = reaper_](const Servable*) mutable {
            reaper->post([last = std::move(kept)]() mutable {
              last.reset();
              tidy_up();
            });
          }};
}

}  // namespace sluice::repository
