#include "conformance/mutants/matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

#include "conformance/json_text.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance::mutants {
namespace {

using nlohmann::json;

constexpr std::size_t least_reason = 20;

void demand_mutant(const Reason& reason) {
  const auto& list = all_mutants();
  const bool known = std::any_of(list.begin(), list.end(), [&](const Mutant& mutant) {
    return glob_matches(reason.pattern, mutant.id);
  });
  if (!known) throw std::runtime_error(fmt::format("'{}' is the id of no mutant", reason.pattern));
  if (reason.text.size() < least_reason) {
    throw std::runtime_error(
        fmt::format("the reason of '{}' has {} characters, at least {} are needed", reason.pattern,
                    reason.text.size(), least_reason));
  }
}

bool is_left_out(Fate fate) { return fate == Fate::absent || fate == Fate::idle; }

void judge_baselines(const std::vector<Hunted>& hunted, Matrix& matrix) {
  for (const Hunted& each : hunted) {
    const Mutant* const mutant = find_mutant(each.id);
    if (mutant->kind != Class::baseline) continue;
    if (each.fate == Fate::alarm) {
      matrix.unreached.push_back(fmt::format("false alarm: {} is right, and {} says {}: {}",
                                             each.id, each.killer, each.status, each.text));
    }
    if (each.fate == Fate::survived)
      matrix.unreached.push_back(fmt::format("no case finds {}: {}", each.id, mutant->bug));
  }
}

void judge_seeded(const std::vector<Hunted>& hunted, Matrix& matrix) {
  for (const Hunted& each : hunted) {
    const Mutant* const mutant = find_mutant(each.id);
    if (mutant->kind != Class::seeded || is_left_out(each.fate)) continue;
    ++matrix.seeded.total;
    const bool named =
        std::find(mutant->cases.begin(), mutant->cases.end(), each.killer) != mutant->cases.end();
    if (each.fate == Fate::killed) ++matrix.seeded.killed;
    if (each.fate == Fate::survived)
      matrix.unreached.push_back(fmt::format("no case finds {}: {}", each.id, mutant->bug));
    if (each.fate == Fate::killed && !named) {
      matrix.unreached.push_back(fmt::format("{} was found by {}, and not by {}", each.id,
                                             each.killer, fmt::join(mutant->cases, " or ")));
    }
  }
}

void judge_generic(const std::vector<Hunted>& hunted, const Reasons& reasons, bool whole,
                   Matrix& matrix) {
  std::set<const Reason*> used;
  for (const Hunted& each : hunted) {
    if (find_mutant(each.id)->kind != Class::generic || is_left_out(each.fate)) continue;
    ++matrix.generic.total;
    if (each.fate == Fate::killed) ++matrix.generic.killed;
    if (each.fate != Fate::survived) continue;
    const Reason* const reason = find_reason(reasons, each.id);
    if (reason == nullptr) {
      matrix.unreached.push_back(
          fmt::format("{} survives without a reason: {}", each.id, find_mutant(each.id)->bug));
      continue;
    }
    used.insert(reason);
    if (reason->equivalent) ++matrix.generic.equivalent;
  }
  if (!whole) return;
  for (const Reason& reason : reasons)
    if (!used.contains(&reason))
      matrix.notes.push_back(fmt::format("the reason of '{}' excuses no survivor", reason.pattern));
  const Score& score = matrix.generic;
  if (score.share_of_different() < generic_goal) {
    matrix.unreached.push_back(
        fmt::format("{} of {} generic mutants that differ were found, {:.0f} % are wanted",
                    score.killed, score.total - score.equivalent, 100 * generic_goal));
  }
}

}  // namespace

Reasons read_reasons(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read '{}'", path));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Reasons reasons;
  try {
    const json stored = parse_json(text, path);
    for (const json& entry : stored.at("survivors")) {
      const auto kind = entry.at("kind").get<std::string>();
      if (kind != "equivalent" && kind != "gap") {
        throw std::runtime_error(fmt::format("'{}': kind is equivalent or gap; it is '{}'",
                                             entry.at("mutant").get<std::string>(), kind));
      }
      reasons.push_back({entry.at("mutant").get<std::string>(), kind == "equivalent",
                         entry.at("reason").get<std::string>()});
      demand_mutant(reasons.back());
    }
  } catch (const json::exception& error) {
    throw std::runtime_error(fmt::format("'{}': {}", path, error.what()));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("'{}': {}", path, error.what()));
  }
  return reasons;
}

const Reason* find_reason(const Reasons& reasons, std::string_view id) {
  const auto found = std::find_if(reasons.begin(), reasons.end(), [&](const Reason& reason) {
    return glob_matches(reason.pattern, id);
  });
  return found == reasons.end() ? nullptr : &*found;
}

Matrix make_matrix(std::vector<Hunted> hunted, const Reasons& reasons, std::size_t missing,
                   bool whole) {
  Matrix matrix;
  matrix.missing = missing;
  const auto count = [&](Fate fate) {
    return static_cast<std::size_t>(std::count_if(
        hunted.begin(), hunted.end(), [&](const Hunted& each) { return each.fate == fate; }));
  };
  matrix.absent = count(Fate::absent);
  matrix.idle = count(Fate::idle);
  judge_baselines(hunted, matrix);
  judge_seeded(hunted, matrix);
  judge_generic(hunted, reasons, whole, matrix);
  matrix.hunted = std::move(hunted);
  return matrix;
}

json matrix_json(const Matrix& matrix, const Reasons& reasons, const json& run) {
  const auto score = [](const Score& s) {
    return json{{"killed", s.killed}, {"equivalent", s.equivalent}, {"total", s.total}};
  };
  json mutants = json::array();
  for (const Hunted& each : matrix.hunted) {
    const Mutant& mutant = *find_mutant(each.id);
    json entry = to_json(each);
    entry["class"] = class_name(mutant.kind);
    entry["entry"] = mutant.entry;
    entry["bug"] = mutant.bug;
    const Reason* const reason =
        each.fate == Fate::survived ? find_reason(reasons, each.id) : nullptr;
    if (reason != nullptr)
      entry["reason"] = {{"kind", reason->equivalent ? "equivalent" : "gap"},
                         {"text", reason->text}};
    mutants.push_back(std::move(entry));
  }
  return {{"schema", "flagos-kill-matrix/1"},
          {"run", run},
          {"generic", score(matrix.generic)},
          {"seeded", score(matrix.seeded)},
          {"absent", matrix.absent},
          {"idle", matrix.idle},
          {"missing", matrix.missing},
          {"unreached", matrix.unreached},
          {"notes", matrix.notes},
          {"mutants", mutants}};
}

}  // namespace flagos::conformance::mutants
