#include "conformance/mutants/session.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "conformance/event_log.hpp"
#include "conformance/json_text.hpp"
#include "conformance/locate.hpp"
#include "conformance/mutants/case_map.hpp"
#include "conformance/mutants/catalogue.hpp"
#include "conformance/mutants/each_case.hpp"
#include "conformance/mutants/hunt.hpp"
#include "conformance/mutants/matrix.hpp"
#include "conformance/mutants/mutant_file.hpp"
#include "conformance/registry.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance::mutants {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::atomic<bool> interrupted{false};

constexpr std::size_t mutants_per_case = 12;
constexpr double rate_goal = 0.99;

// What is hunted when no number is given: the middle of a case.
std::string hunted_id(const Mutant& mutant) {
  std::string id = mutant.id;
  if (id.ends_with("@N")) id.replace(id.size() - 1, 1, "50");
  return id;
}

std::vector<const Mutant*> select(const Request& request) {
  std::vector<const Mutant*> selected;
  for (const Mutant& mutant : all_mutants()) {
    if (!request.only.empty() && !matches_any(request.only, mutant.id)) continue;
    if (in_shard(mutant.id, request.shard)) selected.push_back(&mutant);
  }
  if (selected.empty() && request.shard.count == 1)
    throw std::runtime_error("no mutant is selected (--list shows them)");
  return selected;
}

std::vector<const Case*> select_all_cases(const Request& request) {
  Options options;
  options.level = Level::full;
  options.only = request.cases;
  for (const Mutant& mutant : all_mutants()) {
    for (const std::string& id : mutant.cases) {
      if (find_case(id) == nullptr)
        throw std::runtime_error(
            fmt::format("{} names the case '{}', which there is not", mutant.id, id));
    }
  }
  const auto unmatched = unmatched_patterns(all_cases(), options);
  if (!unmatched.empty())
    throw std::runtime_error(fmt::format("no case matches {}", fmt::join(unmatched, ", ")));
  return select_cases(all_cases(), options);
}

// Runs that are gone on with must have all of this in common.
json run_key(const Request& request) {
  return {{"wrapped", fs::path(request.wrapped).filename().string()},
          {"wrapped_sha256", sha256_file(request.wrapped)},
          {"interposer_sha256", sha256_file(request.interposer)},
          {"suite_sha256", sha256_file(own_executable())},
          {"cases", request.cases},
          {"seed", request.settings.seed},
          {"quick", request.settings.quick}};
}

class Session {
 public:
  explicit Session(const Request& request)
      : request_(request),
        cases_(select_all_cases(request)),
        key_(run_key(request)),
        reasons_(read_reasons(request.reasons)) {
    fs::create_directories(work_folder());
    lock_folder();
    // Core loads nothing from a folder that others can write to.
    fs::permissions(work_folder(), fs::perms::owner_all);
    open_log();
    for (const std::string& folder : request.before) read_killers(folder);
    for (const std::string& folder : request.merge) merge(folder);
  }
  ~Session() {
    std::error_code ignored;
    fs::remove_all(work_folder(), ignored);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int run() {
    const std::vector<const Mutant*> selected = select(request_);
    take_map();
    std::vector<const Mutant*> left;
    for (const Mutant* const mutant : selected)
      if (!hunted_.contains(hunted_id(*mutant))) left.push_back(mutant);
    fmt::print(stderr, "mutants: {} to hunt, {} were before, {} cases, {} jobs\n", left.size(),
               selected.size() - left.size(), map_.cases.size(), request_.jobs);
    if (request_.times != 0) return measure_rates(selected);
    hunt_all(left);
    if (request_.each_case && !interrupted) hunt_for_cases();
    return report(selected);
  }

 private:
  std::string work_folder() const { return fs::absolute(request_.out).string() + "/work"; }

  // Two hunts would write each other's files. The lock goes with the process.
  void lock_folder() const {
    const std::string path = request_.out + "/lock";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || flock(file, LOCK_EX | LOCK_NB) != 0) {
      throw std::runtime_error(fmt::format("another hunt works in '{}'", request_.out));
    }
  }

  void open_log() {
    const std::string path = request_.out + "/hunt.jsonl";
    if (!request_.resume || !fs::exists(path)) {
      if (fs::exists(path) && !request_.resume) fs::remove(path);
      log_ = EventLog::create(path);
      log_.append({{"event", "hunt"}, {"key", key_}});
      return;
    }
    log_ = EventLog::resume(path);
    const std::string difference =
        log_.loaded().empty() ? "it is empty"
                              : first_difference(key_, log_.loaded().front().value("key", json()));
    if (!difference.empty())
      throw std::runtime_error(fmt::format("'{}' is of another run: {}", path, difference));
    for (const json& event : log_.loaded()) {
      if (event.value("event", "") == "map") map_ = case_map_from_json(event.at("map"));
      if (event.value("event", "") == "case")
        found_by_case_[event.at("case").get<std::string>()] = event.at("mutant").get<std::string>();
      if (event.value("event", "") != "hunted") continue;
      const Hunted hunted = hunted_from_json(event.at("hunted"));
      hunted_[hunted.id] = hunted;
    }
  }

  void take_map() {
    if (!map_.cases.empty()) return;
    fmt::print(stderr, "mutants: {} cases run once on {} to see what they call\n", cases_.size(),
               request_.wrapped);
    map_ = record_case_map(request_.interposer, request_.wrapped, request_.settings, cases_,
                           request_.jobs, work_folder());
    if (!map_.alarms.empty()) {
      throw std::runtime_error(
          fmt::format("cases fail on the wrapped plugin itself, so they judge nothing:\n  {}",
                      fmt::join(map_.alarms, "\n  ")));
    }
    log_.append({{"event", "map"}, {"map", to_json(map_)}});
  }

  // Each index once, in as many threads as there are jobs; until it is interrupted.
  void for_each(std::size_t count, const std::function<void(std::size_t, unsigned)>& act) {
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    std::exception_ptr error;
    for (unsigned job = 0; job < request_.jobs; ++job) {
      threads.emplace_back([&, job] {
        try {
          for (std::size_t i = next++; i < count && !interrupted; i = next++) act(i, job);
        } catch (...) {
          const std::lock_guard lock(mutex_);
          error = std::current_exception();
          interrupted = true;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
  }

  void hunt_all(const std::vector<const Mutant*>& left) {
    for_each(left.size(),
             [&](std::size_t i, unsigned job) { hunt_one(*left[i], job, i, left.size()); });
  }

  Context::Settings settings_with(const std::string& id, unsigned job) const {
    Context::Settings settings = request_.settings;
    settings.plugin_path = fmt::format("{}/mutant{}.so", work_folder(), job);
    write_mutant_file(request_.interposer, {id, request_.wrapped, ""}, settings.plugin_path);
    return settings;
  }

  void hunt_one(const Mutant& mutant, unsigned job, std::size_t index, std::size_t count) {
    const std::string id = hunted_id(mutant);
    Hunted hunted;
    hunted.id = id;
    hunted.fate = Fate::absent;
    const bool present =
        mutant.slot == slot_count || map_.filled.contains(std::string(slots()[mutant.slot].name));
    if (present) {
      const Context::Settings settings = settings_with(id, job);
      const std::vector<const Case*> cases = promising_first(mutant, id);
      hunted.fate = Fate::idle;
      if (!mutant.shows_in_refusals || !cases.empty())
        hunted = hunt(mutant, id, settings, cases, map_, patience_with(id));
    }
    const std::lock_guard lock(mutex_);
    if (interrupted && hunted.fate != Fate::killed) return;  // it may have been cut short
    log_.append({{"event", "hunted"}, {"hunted", to_json(hunted)}});
    if (hunted.fate != Fate::absent && hunted.fate != Fate::idle) {
      fmt::print(stderr, "mutants: [{}/{}] {} {} {} ({:.1f} s, {} cases)\n", index + 1, count, id,
                 fate_name(hunted.fate), hunted.killer, hunted.seconds, hunted.cases_run);
    }
    hunted_[id] = std::move(hunted);
  }

  std::vector<const Case*> promising_first(const Mutant& mutant, const std::string& id) const {
    std::vector<const Case*> cases = cases_for(mutant, map_, cases_);
    const auto before = killers_before_.find(id);
    if (before == killers_before_.end()) return cases;
    const auto killer = std::find_if(cases.begin(), cases.end(),
                                     [&](const Case* each) { return each->id == before->second; });
    if (killer != cases.end()) std::rotate(cases.begin(), killer, killer + 1);
    return cases;
  }

  // Cases that were the first to find no mutant are tried on some that others have found.
  void hunt_for_cases() {
    std::set<std::string> killed;
    for (const auto& [id, hunted] : hunted_) {
      if (hunted.fate != Fate::killed) continue;
      killed.insert(id);
      if (find_mutant(id)->kind != Class::baseline) found_by_case_[hunted.killer] = id;
    }
    std::vector<const Case*> left;
    for (const Case* const the_case : cases_) {
      const auto seen = map_.cases.find(the_case->id);
      if (seen == map_.cases.end() || !seen->second.supported) continue;
      if (!found_by_case_.contains(the_case->id)) left.push_back(the_case);
    }
    fmt::print(stderr, "mutants: {} cases are left to find one\n", left.size());
    for_each(left.size(), [&](std::size_t i, unsigned job) { hunt_for(*left[i], killed, job); });
  }

  void hunt_for(const Case& the_case, const std::set<std::string>& killed, unsigned job) {
    std::string found;
    for (const Mutant* const mutant : candidates_for(the_case, map_, killed, mutants_per_case)) {
      const Hunted hunted = hunt(*mutant, mutant->id, settings_with(mutant->id, job), {&the_case},
                                 map_, request_.at_most);
      if (interrupted) return;
      if (hunted.fate != Fate::killed) continue;
      found = mutant->id;
      break;
    }
    const std::lock_guard lock(mutex_);
    log_.append({{"event", "case"}, {"case", the_case.id}, {"mutant", found}});
    found_by_case_[the_case.id] = found;
    fmt::print(stderr, "mutants: {} finds {}\n", the_case.id, found.empty() ? "none" : found);
  }

  // How often each mutant is found by the cases that must find it: for bugs that show only sometimes.
  int measure_rates(const std::vector<const Mutant*>& selected) {
    bool reached = true;
    for (const Mutant* const mutant : selected) {
      std::vector<const Case*> named;
      for (const Case* const the_case : cases_)
        if (std::find(mutant->cases.begin(), mutant->cases.end(), the_case->id) !=
            mutant->cases.end())
          named.push_back(the_case);
      const std::vector<const Case*> cases = cases_for(*mutant, map_, named);
      if (cases.empty()) continue;
      std::atomic<unsigned> killed{0}, tried{0};
      for_each(request_.times, [&](std::size_t, unsigned job) {
        const Context::Settings settings = settings_with(mutant->id, job);
        const Hunted hunted = hunt(*mutant, mutant->id, settings, cases, map_, request_.at_most);
        if (interrupted) return;
        ++tried;
        if (hunted.fate == Fate::killed) ++killed;
      });
      fmt::print("{}: killed {} of {} times\n", mutant->id, killed.load(), tried.load());
      reached = reached && killed.load() >= rate_goal * tried.load();
      if (interrupted) return 2;
    }
    return reached ? 0 : 1;
  }

  double patience_with(const std::string& id) const {
    const bool known = survivors_before_.contains(id) && find_reason(reasons_, id) != nullptr;
    return known ? std::min(request_.at_most, request_.known_at_most) : request_.at_most;
  }

  static std::vector<json> events_of(const std::string& folder) {
    const std::string path = folder + "/hunt.jsonl";
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(fmt::format("cannot read '{}'", path));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::size_t used = 0;
    std::string root;
    return read_event_chain(text, &used, &root);
  }

  // Which case found each mutant in an earlier hunt, and which ones none has found.
  void read_killers(const std::string& folder) {
    for (const json& event : events_of(folder)) {
      if (event.value("event", "") != "hunted") continue;
      const Hunted hunted = hunted_from_json(event.at("hunted"));
      if (hunted.fate == Fate::killed) killers_before_[hunted.id] = hunted.killer;
      if (hunted.fate == Fate::survived) survivors_before_.insert(hunted.id);
    }
    for (const auto& [id, killer] : killers_before_) survivors_before_.erase(id);
  }

  // Takes over what another hunt has found with the same suite, plugins and cases: its results are ours from then on.
  void merge(const std::string& folder) {
    const std::vector<json> events = events_of(folder);
    const std::string difference =
        events.empty() ? "it is empty"
                       : first_difference(key_, events.front().value("key", json()));
    if (!difference.empty())
      throw std::runtime_error(fmt::format("'{}' is of another hunt: {}", folder, difference));
    for (const json& event : events) {
      const auto kind = event.value("event", "");
      if (kind == "map" && map_.cases.empty()) {
        map_ = case_map_from_json(event.at("map"));
        log_.append({{"event", "map"}, {"map", event.at("map")}});
      }
      if (kind != "hunted") continue;
      const Hunted hunted = hunted_from_json(event.at("hunted"));
      if (!hunted_.emplace(hunted.id, hunted).second) continue;
      log_.append({{"event", "hunted"}, {"hunted", event.at("hunted")}});
    }
  }

  int report(const std::vector<const Mutant*>& selected) {
    std::vector<Hunted> in_order;
    std::size_t missing = 0;
    for (const Mutant* const mutant : selected) {
      const auto found = hunted_.find(hunted_id(*mutant));
      if (found == hunted_.end()) {
        ++missing;
      } else {
        in_order.push_back(found->second);
      }
    }
    const bool whole = selected.size() == all_mutants().size() && request_.cases.empty();
    Matrix matrix = make_matrix(std::move(in_order), reasons_, missing, whole && missing == 0);
    for (const auto& [id, mutant] : found_by_case_)
      if (mutant.empty()) matrix.notes.push_back(fmt::format("{} has found no mutant", id));
    json stored = matrix_json(matrix, reasons_, key_);
    stored["found_by_case"] = found_by_case_;
    write("kill-matrix.json", canonical_json(stored));
    write("kill-matrix.html", matrix_html(matrix, reasons_, key_));
    for (const std::string& line : matrix.unreached) fmt::print("not reached: {}\n", line);
    for (const std::string& line : matrix.notes) fmt::print("note: {}\n", line);
    fmt::print(
        "generic: {} of {} killed, {} survivors are equivalent; seeded: {} of {}; {} absent, {} "
        "idle; {} not hunted\n",
        matrix.generic.killed, matrix.generic.total, matrix.generic.equivalent,
        matrix.seeded.killed, matrix.seeded.total, matrix.absent, matrix.idle, missing);
    fmt::print("matrix: {}/kill-matrix.html\n", request_.out);
    if (missing != 0) return 2;
    return matrix.unreached.empty() ? 0 : 1;
  }

  void write(const std::string& name, const std::string& text) const {
    const std::string path = request_.out + "/" + name;
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) throw std::runtime_error(fmt::format("cannot write '{}'", path));
  }

  const Request& request_;
  std::vector<const Case*> cases_;
  json key_;
  EventLog log_;
  CaseMap map_;
  const Reasons reasons_;
  std::map<std::string, std::string> killers_before_;
  std::set<std::string> survivors_before_;
  std::map<std::string, std::string> found_by_case_;  // "": it has found none of those it was given
  std::mutex mutex_;                                  // guards the log and what follows
  std::map<std::string, Hunted> hunted_;
};

void install_handlers() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

}  // namespace

int run_session(const Request& request) {
  install_handlers();
  return Session(request).run();
}

}  // namespace flagos::conformance::mutants
