#include "conformance/mutants/case_map.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "conformance/mutants/case_feed.hpp"
#include "conformance/mutants/mutant_file.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance::mutants {
namespace {

using nlohmann::json;

constexpr std::size_t trace_bytes = trace_parts * slot_count;

std::set<std::string> names(const unsigned char* bytes) {
  std::set<std::string> found;
  for (std::size_t i = 0; i < slot_count; ++i)
    if (bytes[i] != 0) found.emplace(slots()[i].name);
  return found;
}

// One worker's share of the cases.
struct Share {
  std::vector<const Case*> cases;
  CaseMap seen;
  std::exception_ptr error;
};

void trace_share(const std::string& interposer, const std::string& wrapped,
                 Context::Settings settings, const std::string& stem, Share& share) {
  Trace trace(stem + ".trace");
  write_mutant_file(interposer, {"none", wrapped, trace.path()}, stem + ".so");
  settings.plugin_path = stem + ".so";
  CaseFeed feed(settings, share.cases);
  while (!feed.at_end()) {
    const Case& the_case = feed.coming();
    const CaseResult result = feed.next(time_limit(the_case, {}));
    SeenCase seen{result.seconds, trace.called(), trace.refused(), result.status == Status::pass};
    trace.forget();
    if (!is_allowed(result.status)) {
      share.seen.alarms.push_back(
          fmt::format("{}: {} {}", result.id, status_name(result.status), result.text));
    }
    share.seen.cases[the_case.id] = std::move(seen);
  }
  feed.end();
  share.seen.filled = trace.filled();
}

}  // namespace

json to_json(const CaseMap& map) {
  json cases = json::object();
  for (const auto& [id, seen] : map.cases)
    cases[id] = {{"seconds", seen.seconds},
                 {"entries", seen.entries},
                 {"refusals", seen.refusals},
                 {"supported", seen.supported}};
  return {{"cases", cases}, {"filled", map.filled}, {"alarms", map.alarms}};
}

CaseMap case_map_from_json(const json& stored) {
  CaseMap map;
  for (const auto& [id, seen] : stored.at("cases").items())
    map.cases[id] = {
        seen.at("seconds").get<double>(), seen.at("entries").get<std::set<std::string>>(),
        seen.at("refusals").get<std::set<std::string>>(), seen.at("supported").get<bool>()};
  stored.at("filled").get_to(map.filled);
  stored.at("alarms").get_to(map.alarms);
  return map;
}

Trace::Trace(const std::string& path) : path_(path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool made = file >= 0 && ftruncate(file, trace_bytes) == 0;
  void* const mapped =
      made ? mmap(nullptr, trace_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  const int error = errno;
  if (file >= 0) close(file);
  if (mapped == MAP_FAILED)
    throw std::runtime_error(fmt::format("cannot make '{}': {}", path, std::strerror(error)));
  bytes_ = static_cast<unsigned char*>(mapped);
}

Trace::~Trace() { munmap(bytes_, trace_bytes); }

std::set<std::string> Trace::called() const { return names(bytes_); }

std::set<std::string> Trace::refused() const { return names(bytes_ + slot_count); }

std::set<std::string> Trace::filled() const { return names(bytes_ + 2 * slot_count); }

void Trace::forget() { std::memset(bytes_, 0, 2 * slot_count); }

CaseMap record_case_map(const std::string& interposer, const std::string& wrapped,
                        Context::Settings settings, const std::vector<const Case*>& cases,
                        unsigned jobs, const std::string& folder) {
  std::vector<Share> shares(jobs);
  // Cases that need the machine for themselves come last, in one share.
  std::vector<const Case*> alone;
  std::size_t turn = 0;
  for (const Case* const the_case : cases) {
    if (the_case->options.isolation == Isolation::destructive) {
      alone.push_back(the_case);
    } else {
      shares[turn++ % jobs].cases.push_back(the_case);
    }
  }
  std::vector<std::thread> threads;
  const auto run = [&](Share& share, const std::string& stem) {
    try {
      trace_share(interposer, wrapped, settings, folder + "/" + stem, share);
    } catch (...) {
      share.error = std::current_exception();
    }
  };
  for (std::size_t i = 0; i < shares.size(); ++i)
    threads.emplace_back([&, i] { run(shares[i], fmt::format("trace{}", i)); });
  for (std::thread& thread : threads) thread.join();
  shares.emplace_back().cases = alone;
  run(shares.back(), "trace_alone");
  CaseMap map;
  for (Share& share : shares) {
    if (share.error) std::rethrow_exception(share.error);
    map.cases.merge(share.seen.cases);
    map.filled.merge(share.seen.filled);
    map.alarms.insert(map.alarms.end(), share.seen.alarms.begin(), share.seen.alarms.end());
  }
  return map;
}

}  // namespace flagos::conformance::mutants
