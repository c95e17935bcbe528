// Refused calls change nothing: before there is anything, after everything is gone, and in between.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "conformance/cases/negatives.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// Calls every entry that takes a handle on a world whose handles mean nothing; returns what went
// wrong, or "".
std::string every_entry_refuses(World& world) {
  for (const Entry& entry : entries()) {
    Call call(world, entry);
    bool takes_handle = false;
    for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
      const Argument& argument = entry.arguments[i];
      if (argument.is_handle()) takes_handle |= call.values[i] != 0;
    }
    if (entry.name == "flagos_timeline_wait") takes_handle = true;  // they stand in an array
    if (!takes_handle) continue;
    const flagos_status_t status = call.run();
    const bool refused =
        status == FLAGOS_STATUS_INVALID_HANDLE ||
        (status == FLAGOS_STATUS_NOT_PERMITTED && entry.name == "flagos_runtime_abandon");
    if (!refused)
      return entry.name + ": expected FLAGOS_STATUS_INVALID_HANDLE, got " +
             flagos_status_get_name(status);
    const std::string uncleared = call.uncleared();
    if (!uncleared.empty()) return entry.name + ": it did not clear " + uncleared;
  }
  return "";
}

Handles made_up_handles(std::uint64_t value) {
  Handles handles;
  handles.fill(value);
  return handles;
}

FLAGOS_HELPER("neg_before_init") {
  for (const std::uint64_t value :
       {std::uint64_t{1}, std::uint64_t{0x100000001}, std::uint64_t{0x7fff12345678}, UINT64_MAX}) {
    World world(made_up_handles(value));
    const std::string problem = every_entry_refuses(world);
    if (!problem.empty()) {
      std::fprintf(stderr, "handles of %llx: %s\n", static_cast<unsigned long long>(value),
                   problem.c_str());
      return 1;
    }
  }
  // What needs no object works before there is a runtime.
  flagos_version_info_t version{};
  version.struct_size = sizeof version;
  if (flagos_get_version(&version) != ok ||
      FLAGOS_VERSION_MAJOR(version.abi_version) != FLAGOS_ABI_MAJOR)
    return 2;
  return flagos_runtime_destroy(nullptr) == ok ? 0 : 3;
}

// Numbers of nine and more hexadecimal digits: on this side of the boundary nothing else looks like
// an address.
std::vector<std::uint64_t> addresses_in(const std::string& text) {
  std::vector<std::uint64_t> found;
  for (std::size_t i = 0; i + 2 < text.size(); ++i) {
    if (text[i] != '0' || text[i + 1] != 'x') continue;
    std::size_t end = i + 2;
    while (end < text.size() && std::isxdigit(static_cast<unsigned char>(text[end]))) ++end;
    if (end - i >= 2 + 9) found.push_back(std::strtoull(text.c_str() + i, nullptr, 16));
    i = end;
  }
  return found;
}

bool given_by_caller(const Call& call, std::uint64_t value) {
  const World& world = call.world;
  for (const std::uint64_t given : call.values)
    if (value == given) return true;
  return value >= world.memory() && value <= world.memory() + World::memory_size;
}

}  // namespace

FLAGOS_CASE("neg.before_init",
            {.clause = "flagos.h: Handles; nothing exists before flagos_runtime_create",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  std::string text;
  t.equal(t.run_helper("neg_before_init", {}, 60, &text), 0,
          "every entry refuses handles of nothing: " + text);
  t.smoke();
}

FLAGOS_CASE("neg.after_shutdown",
            {.clause = "flagos_runtime_destroy: handles of a runtime end with it",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  flagos_runtime_t* runtime = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &runtime), "create a runtime");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "load the plugin");
  Handles handles{};
  {
    World world(t, runtime, t.settings().device_ordinal);
    handles = world.handles();
    t.status(world.close(), ok, "destroy all objects");
  }
  t.ok(flagos_runtime_destroy(runtime), "destroy the runtime");
  World gone(handles);
  const std::string problem = every_entry_refuses(gone);
  t.check(problem.empty(), problem);
  t.smoke();
}

FLAGOS_CASE("neg.failure_atomicity",
            {.clause = "flagos.h: Failure", .oracle = Oracle::code, .seconds = 120}) {
  World world(t);
  const auto negatives = all_negatives(world);
  const std::size_t step = t.settings().quick ? 3 : 1;
  for (std::size_t i = 0; i < negatives.size(); i += step) {
    const Negative& negative = negatives[i];
    const auto before = world.snapshot();
    check_negative(t, world, negative);
    const auto after = world.snapshot();
    const auto changed =
        std::mismatch(before.begin(), before.end(), after.begin()).first - before.begin();
    t.check(after == before, "a failing call has no other effect, it changed value " +
                                 std::to_string(changed) + " of the snapshot");
    Call next(world, *negative.entry);
    if (!applies(next)) continue;
    const auto expected = expected_when_valid(world, *negative.entry);
    const flagos_status_t status = next.run();
    t.check(expected.contains(status), "the next valid call gives " + names_of(expected) +
                                           ", got " + flagos_status_get_name(status));
  }
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("neg.error_precedence",
            {.clause = "flagos.h: General statuses; two errors give one of both",
             .level = Level::full,
             .oracle = Oracle::code}) {
  World world(t);
  const auto negatives = all_negatives(world);
  for (std::size_t i = 0; i < negatives.size(); ++i)
    for (std::size_t k = i + 1; k < negatives.size(); ++k) {
      const Negative& one = negatives[i];
      const Negative& other = negatives[k];
      if (one.entry != other.entry || one.argument == other.argument) continue;
      t.subcase(one.entry->name + ", " + one.entry->arguments[one.argument].name + " = " +
                one.what + ", " + other.entry->arguments[other.argument].name + " = " + other.what);
      Call call(world, *one.entry);
      call.values[one.argument] = one.value;
      call.values[other.argument] = other.value;
      auto expected = expected_of(world, one);
      expected.merge(expected_of(world, other));
      expected.insert(FLAGOS_STATUS_INVALID_HANDLE);  // of an object that this device does not have
      const flagos_status_t status = call.run();
      t.check(expected.contains(status),
              "expected " + names_of(expected) + ", got " + flagos_status_get_name(status));
    }
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("neg.msg_no_address_leak",
            {.clause = "flagos_last_error: with the values that were asked",
             .level = Level::full,
             .oracle = Oracle::code}) {
  World world(t);
  for (const Negative& negative : all_negatives(world)) {
    Call call(world, *negative.entry);
    if (!applies(call, negative)) continue;
    t.subcase(negative.entry->name + ", " + negative.entry->arguments[negative.argument].name +
              " = " + negative.what);
    call.values[negative.argument] = negative.value;
    if (FLAGOS_STATUS_CLASS(call.run()) == FLAGOS_STATUS_CLASS_ANSWER) continue;
    const std::string text = flagos_last_error();
    for (const std::uint64_t value : addresses_in(text))
      t.check(given_by_caller(call, value),
              "the text shows no address of the library's own: " + text);
  }
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

}  // namespace flagos::conformance
