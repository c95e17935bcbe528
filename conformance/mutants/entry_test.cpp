// The generic bugs, one by one, on a function that notes what it is called with.
#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "conformance/mutants/catalogue.hpp"

namespace flagos::conformance::mutants {
namespace {

using Copy = Entry<slot::memory_copy>;
using Alloc = Entry<slot::memory_alloc>;
using Synchronize = Entry<slot::stream_synchronize>;
using Free = Entry<slot::memory_free>;

struct Seen {
  int calls = 0;
  std::uintptr_t object = 0;
  std::uint64_t target = 0, source = 0, size = 0, timeout = 0;
} seen;
flagos_status_t answer = FLAGOS_STATUS_OK;

template <typename T>
T* object(std::uintptr_t number) {
  return reinterpret_cast<T*>(number);
}

flagos_status_t note_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                          flagos_address_t source, std::uint64_t size) {
  seen = {seen.calls + 1, reinterpret_cast<std::uintptr_t>(stream), target, source, size, 0};
  return answer;
}

flagos_status_t note_alloc(flagos_plugin_device_t*, const flagos_memory_desc_t* desc,
                           flagos_address_t* out) {
  ++seen.calls;
  seen.size = desc->size_bytes;
  *out = 4096u * static_cast<unsigned>(seen.calls);
  return answer;
}

flagos_status_t note_wait(flagos_plugin_stream_t*, std::uint64_t timeout_ns) {
  ++seen.calls;
  seen.timeout = timeout_ns;
  return answer;
}

void note_free(flagos_plugin_device_t*, flagos_address_t) { ++seen.calls; }

struct Notes {
  Notes() {
    seen = {};
    answer = FLAGOS_STATUS_OK;
    Copy::next = &note_copy;
    Alloc::next = &note_alloc;
    Synchronize::next = &note_wait;
    Free::next = &note_free;
    hooks = {};
  }
};

auto* const stream = object<flagos_plugin_stream_t>(64);

TEST_CASE_FIXTURE(Notes, "calls that are left out, repeated, or failed") {
  CHECK(Copy::skip(stream, 1, 2, 3) == FLAGOS_STATUS_OK);
  CHECK(seen.calls == 0);
  CHECK(Copy::twice(stream, 1, 2, 3) == FLAGOS_STATUS_OK);
  CHECK(seen.calls == 2);
  for (int i = 0; i < 14; ++i) Copy::skip_seventh(stream, 1, 2, 3);
  CHECK(seen.calls == 2 + 12);
  CHECK(Copy::fail(stream, 1, 2, 3) == FLAGOS_STATUS_INTERNAL);
  CHECK(seen.calls == 14);
  CHECK(Copy::fail_after(stream, 1, 2, 3) == FLAGOS_STATUS_INTERNAL);
  CHECK(seen.calls == 15);
  Free::twice(nullptr, 1);
  CHECK(seen.calls == 17);
}

TEST_CASE_FIXTURE(Notes, "statuses") {
  answer = FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  CHECK(Copy::other_status(stream, 1, 2, 3) == FLAGOS_STATUS_INTERNAL);
  CHECK(Copy::swallow_failure(stream, 1, 2, 3) == FLAGOS_STATUS_OK);
  CHECK(Copy::no_text(stream, 1, 2, 3) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  answer = FLAGOS_STATUS_TIMEOUT;
  CHECK(Synchronize::swallow_failure(stream, 5) == FLAGOS_STATUS_TIMEOUT);
  CHECK(Synchronize::timeout_is_ok(stream, 5) == FLAGOS_STATUS_OK);
}

TEST_CASE_FIXTURE(Notes, "arguments") {
  Copy::plus<3, 1>(stream, 1, 2, 3);
  CHECK(seen.size == 4);
  Copy::plus<3, -1>(stream, 1, 2, 3);
  CHECK(seen.size == 2);
  Copy::swapped<1, 2>(stream, 1, 2, 3);
  CHECK((seen.target == 2 && seen.source == 1));
  Synchronize::zero<1>(stream, 5);
  CHECK(seen.timeout == 0);
  Synchronize::as_long_as_it_takes<1>(stream, 5);
  CHECK(seen.timeout == for_ever);
  Copy::other_object<0>(object<flagos_plugin_stream_t>(64), 1, 2, 3);
  CHECK(seen.object == 64);
  Copy::other_object<0>(object<flagos_plugin_stream_t>(128), 1, 2, 3);
  CHECK(seen.object == 64);
  Copy::other_object<0>(object<flagos_plugin_stream_t>(192), 1, 2, 3);
  CHECK(seen.object == 128);
}

TEST_CASE_FIXTURE(Notes, "structures go in changed, and the caller's stays as it is") {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.size_bytes = 100;
  flagos_address_t out = 0;
  change = [](void* structure) { static_cast<flagos_memory_desc_t*>(structure)->size_bytes = 7; };
  CHECK(Alloc::changed_in<1>(nullptr, &desc, &out) == FLAGOS_STATUS_OK);
  CHECK(seen.size == 7);
  CHECK(desc.size_bytes == 100);
}

TEST_CASE_FIXTURE(Notes, "what comes out") {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  flagos_address_t out[2] = {0, 0};
  Alloc::plus_out<2, 1>(nullptr, &desc, out);
  CHECK(out[0] == 4097);
  Alloc::no_out<2>(nullptr, &desc, out);
  CHECK(out[0] == 0);
  Alloc::previous_out<2>(nullptr, &desc, out);
  CHECK(out[0] == 3 * 4096);
  Alloc::previous_out<2>(nullptr, &desc, out);
  CHECK(out[0] == 3 * 4096);
  Alloc::previous_out<2>(nullptr, &desc, out);
  CHECK(out[0] == 4 * 4096);
  CHECK(out[1] == 0);
  Alloc::past_out<2>(nullptr, &desc, out);
  CHECK(out[1] == 0x5a);
  const int before = seen.calls;
  Alloc::one_more<2>(nullptr, &desc, out);
  CHECK(seen.calls == before + 2);
}

TEST_CASE_FIXTURE(Notes, "hooks see every call and may keep it from being made") {
  static int told = 0;
  hooks.before = [](const Call& call) {
    return call.slot == slot::memory_copy::index && call.stream == stream;
  };
  hooks.after = [](const Call&, flagos_status_t status) {
    told += status == FLAGOS_STATUS_OK ? 1 : 100;
  };
  CHECK(Copy::hooked(stream, 1, 2, 3) == FLAGOS_STATUS_OK);
  CHECK((seen.calls == 1 && told == 1));
  CHECK(Synchronize::hooked(stream, 5) == FLAGOS_STATUS_OK);
  CHECK((seen.calls == 1 && told == 1));
  hooks = {};
}

// A group has two words and then its slots: one that entries.inc does not have would carry no mutant.
TEST_CASE("every slot of every group stands in the list") {
  std::map<std::string, std::size_t> slots_of;
  for (const Slot& slot : slots())
    ++slots_of[std::string(slot.name.substr(0, slot.name.find('.')))];
  const auto slots_in = [](std::size_t size) {
    return (size - 2 * sizeof(std::uint32_t)) / sizeof(void*);
  };
#define CHECK_GROUP(group) \
  CHECK_MESSAGE(slots_of[#group] == slots_in(sizeof(Tables::group)), #group)
  CHECK_GROUP(device);
  CHECK_GROUP(memory);
  CHECK_GROUP(stream);
  CHECK_GROUP(event);
  CHECK_GROUP(module);
  CHECK_GROUP(kernel);
  CHECK_GROUP(memory_pool);
  CHECK_GROUP(timeline);
  CHECK_GROUP(graph);
  CHECK_GROUP(profiling);
  CHECK_GROUP(interop);
  CHECK_GROUP(topology);
  CHECK_GROUP(operators);
  CHECK_GROUP(virtual_memory);
  CHECK_GROUP(collective);
}

TEST_CASE("the list") {
  std::set<std::string> ids;
  std::size_t generic = 0;
  for (const Mutant& mutant : all_mutants()) {
    CHECK_MESSAGE(ids.insert(mutant.id).second, mutant.id << " stands there twice");
    CHECK_MESSAGE(!mutant.bug.empty(), mutant.id);
    CHECK_MESSAGE((mutant.kind != Class::seeded || !mutant.cases.empty()),
                  mutant.id << " names no case");
    generic += mutant.kind == Class::generic ? 1 : 0;
  }
  CHECK(generic >= 900);
  CHECK(find_mutant("crash@17") != nullptr);
  CHECK(find_mutant("memory.copy/size-1") != nullptr);
  CHECK(find_mutant("memory.copy/nothing") == nullptr);
}

}  // namespace
}  // namespace flagos::conformance::mutants
