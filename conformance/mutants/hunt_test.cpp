// The hunt around the cases: files that carry a mutant, which cases are taken, reasons, and what the matrix says.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <unistd.h>

#include "conformance/mutants/case_map.hpp"
#include "conformance/mutants/each_case.hpp"
#include "conformance/mutants/hunt.hpp"
#include "conformance/mutants/matrix.hpp"
#include "conformance/mutants/mutant_file.hpp"

namespace flagos::conformance::mutants {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() : path(fs::temp_directory_path() / ("flagos-mutants-" + std::to_string(getpid()))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return (path / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name), std::ios::binary) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream stream(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  fs::path path;
};

template <typename Act>
std::string error_of(Act act) {
  try {
    act();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

Hunted hunted(const std::string& id, Fate fate, const std::string& killer = "") {
  Hunted made;
  made.id = id;
  made.fate = fate;
  made.killer = killer;
  made.status = killer.empty() ? "" : "FAIL";
  return made;
}

Case a_case(const char* id, Isolation isolation = Isolation::shared, Level level = Level::core) {
  CaseOptions options{.clause = "a test"};
  options.isolation = isolation;
  options.level = level;
  return {id, options, nullptr, std::source_location::current()};
}

TEST_CASE_FIXTURE(Folder, "the settings stand in the copy, and nothing else changes") {
  const std::string mark = std::string("flagos mutant settings, ") + "block 1" + '\0';
  const std::string head = "a library ", tail = " and its end";
  write("plugin", head + mark + std::string(settings_size - mark_size, '\0') + tail);
  write_mutant_file(file("plugin"), {"M11", "/lib/right.so", "/tmp/trace"}, file("copy"));
  const std::string copy = read("copy");
  CHECK(copy.size() == read("plugin").size());
  CHECK(copy.starts_with(head + mark + "M11\n/lib/right.so\n/tmp/trace\n"));
  CHECK(copy.ends_with(tail));
  const Settings settings = parse_settings(copy.c_str() + head.size() + mark_size);
  CHECK((settings.mutant == "M11" && settings.wrapped == "/lib/right.so" &&
         settings.trace == "/tmp/trace"));
  write("other", "no place here");
  CHECK(error_of([&] {
          write_mutant_file(file("other"), {}, file("copy"));
        }).find("no place for settings") != std::string::npos);
  CHECK(error_of([&] {
          write_mutant_file(file("nothing"), {}, file("copy"));
        }).find("cannot read") != std::string::npos);
  const Settings long_path{"M11", std::string(5000, 'x'), ""};
  CHECK(error_of([&] {
          write_mutant_file(file("plugin"), long_path, file("copy"));
        }).find("is the most") != std::string::npos);
}

TEST_CASE_FIXTURE(Folder, "a trace is read and forgotten") {
  Trace trace(file("trace"));
  CHECK(trace.called().empty());
  {
    std::fstream written(file("trace"), std::ios::in | std::ios::out | std::ios::binary);
    written.seekp(slot::memory_copy::index);
    written.put(1);
    written.seekp(2 * slot_count + slot::memory_fill::index);
    written.put(1);
  }
  CHECK(trace.called() == std::set<std::string>{"memory.copy"});
  CHECK(trace.filled() == std::set<std::string>{"memory.fill"});
  CHECK(trace.refused().empty());
  trace.forget();
  CHECK(trace.called().empty());
  CHECK(trace.filled() == std::set<std::string>{"memory.fill"});
}

TEST_CASE("cases that call the entry, the most promising first") {
  const Case named = a_case("zz.named"), home_slow = a_case("copy.slow"),
             home = a_case("copy.quick");
  const Case far = a_case("aa.far"), untouched = a_case("copy.untouched"),
             unsupported = a_case("copy.absent");
  const Case far_slow = a_case("aa.far_slow");
  const std::vector<const Case*> all{&far,   &far_slow,  &home,       &home_slow,
                                     &named, &untouched, &unsupported};
  CaseMap map;
  for (const Case* const each : all) map.cases[each->id] = {0.01, {"memory.copy"}, {}, true};
  map.cases["copy.slow"].seconds = 2;
  map.cases["aa.far_slow"].seconds = 5;
  map.cases["copy.untouched"].entries = {"memory.fill"};
  map.cases["copy.absent"].supported = false;
  Mutant mutant;
  mutant.entry = "memory.copy";
  mutant.slot = slot::memory_copy::index;
  mutant.cases = {"zz.named"};
  CHECK(cases_for(mutant, map, all) == std::vector<const Case*>{&named, &home, &home_slow, &far});
  mutant.shows_in_refusals = true;
  CHECK(cases_for(mutant, map, all).empty());
  map.cases["aa.far"].refusals = {"memory.copy"};
  CHECK(cases_for(mutant, map, all) == std::vector<const Case*>{&far});
}

TEST_CASE("a case is tried on mutants that name it, then on those of entries that few cases call") {
  const Mutant* const named = find_mutant("M11");
  REQUIRE(named != nullptr);
  const Case the_case = a_case(named->cases.front().c_str());
  CaseMap map;
  map.cases[the_case.id] = {0.01, {"memory.copy", "event.get_elapsed"}, {}, true};
  for (int i = 0; i < 9; ++i)
    map.cases["copy.other" + std::to_string(i)] = {0.01, {"memory.copy"}, {}, true};
  const std::set<std::string> killed = {"M11",
                                        "memory.copy/skip",
                                        "event.get_elapsed/fail",
                                        "event.get_elapsed/skip",
                                        "memory.fill/skip",
                                        "null"};
  const auto ids_of = [&](std::size_t most) {
    std::vector<std::string> ids;
    for (const Mutant* const mutant : candidates_for(the_case, map, killed, most))
      ids.push_back(mutant->id);
    return ids;
  };
  CHECK(ids_of(9) == std::vector<std::string>{"M11", "event.get_elapsed/skip",
                                              "event.get_elapsed/fail", "memory.copy/skip"});
  CHECK(ids_of(2) == std::vector<std::string>{"M11", "event.get_elapsed/skip"});
  map.cases[the_case.id].supported = false;
  CHECK(ids_of(9).empty());
}

TEST_CASE("what is written down is read again") {
  CaseMap map;
  map.cases["copy.len"] = {0.5, {"memory.copy"}, {"stream.synchronize"}, true};
  map.filled = {"memory.copy"};
  const CaseMap again = case_map_from_json(to_json(map));
  CHECK(again.cases.at("copy.len").entries == map.cases.at("copy.len").entries);
  CHECK(again.cases.at("copy.len").refusals == map.cases.at("copy.len").refusals);
  CHECK(again.filled == map.filled);
  const Hunted one = hunted("M11", Fate::killed, "copy.len");
  CHECK(to_json(hunted_from_json(to_json(one))) == to_json(one));
  CHECK(error_of([] { fate_from_name("eaten"); }) == "unknown fate 'eaten'");
}

TEST_CASE_FIXTURE(Folder, "reasons") {
  const auto read = [&](const std::string& entries) {
    write("reasons", "{\"survivors\": [" + entries + "]}");
    return error_of([&] { read_reasons(file("reasons")); });
  };
  CHECK(read("") == "");
  CHECK(
      read(
          R"({"mutant": "memory.copy/*", "kind": "equivalent", "reason": "a reason that is long enough"})") ==
      "");
  CHECK(read(R"({"mutant": "memory.copy/*", "kind": "equivalent", "reason": "short"})")
            .find("at least 20") != std::string::npos);
  CHECK(
      read(R"({"mutant": "memory.cpy/*", "kind": "gap", "reason": "a reason that is long enough"})")
          .find("no mutant") != std::string::npos);
  CHECK(read(R"({"mutant": "M11", "kind": "lazy", "reason": "a reason that is long enough"})")
            .find("'lazy'") != std::string::npos);
  CHECK(read(R"({"mutant": "M11"})") != "");
  CHECK(error_of([&] { read_reasons(file("nothing")); }).find("cannot read") != std::string::npos);
}

TEST_CASE("goals") {
  const Reasons reasons{{"memory.copy/size-1", true, "nobody can tell it, for a test"},
                        {"memory.fill/*", false, "the suite does not look, for a test"}};
  const auto unreached = [&](std::vector<Hunted> all, bool whole = false) {
    return make_matrix(std::move(all), reasons, 0, whole).unreached;
  };
  CHECK(unreached({hunted("none", Fate::clean), hunted("M11", Fate::killed, "copy.offsets_matrix"),
                   hunted("memory.copy/skip", Fate::killed, "copy.len"),
                   hunted("memory.copy/size-1", Fate::survived)})
            .empty());
  CHECK(unreached({hunted("slow", Fate::alarm, "copy.len")}).at(0).find("false alarm") == 0);
  CHECK(unreached({hunted("M11", Fate::survived)}).at(0).find("no case finds M11") == 0);
  CHECK(unreached({hunted("M11", Fate::killed, "copy.len")})
            .at(0)
            .find("not by copy.offsets_matrix") != std::string::npos);
  CHECK(unreached({hunted("memory.copy/skip", Fate::survived)}).at(0).find("without a reason") !=
        std::string::npos);
  CHECK(unreached({hunted("memory.fill/skip", Fate::survived)}).empty());
  CHECK(unreached({hunted("memory.fill/skip", Fate::survived)}, true)
            .at(0)
            .find("0 of 1 generic mutants") == 0);
  CHECK(unreached({hunted("memory_pool.create/skip", Fate::absent)}, true).empty());
  const Matrix matrix = make_matrix(
      {hunted("memory.copy/size-1", Fate::survived), hunted("memory.copy/skip", Fate::killed, "x")},
      reasons, 0, true);
  CHECK(
      (matrix.generic.killed == 1 && matrix.generic.total == 2 && matrix.generic.equivalent == 1));
  CHECK(matrix.notes.size() == 1);  // memory.fill/* excuses nobody
  const auto json = matrix_json(matrix, reasons, {});
  CHECK(json.at("mutants").at(0).at("reason").at("kind") == "equivalent");
  const std::string page = matrix_html(matrix, reasons, nlohmann::json::object());
  CHECK(page.find("memory.copy/size-1") != std::string::npos);
  CHECK(page.find("nobody can tell it") != std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
}

}  // namespace
}  // namespace flagos::conformance::mutants
