// Links, locality, and objects of the vendor's own API.
#include <algorithm>
#include <cstring>

#include "conformance/cases/native_support.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;

flagos_link_info_t link_of(Context& t, std::uint32_t from, std::uint32_t to) {
  flagos_link_info_t info;
  std::memset(&info, 0xcc, sizeof info);
  info.struct_size = sizeof info;
  t.ok(flagos_device_get_link(t.runtime(), from, to, &info), "flagos_device_get_link");
  return info;
}

bool shown(const World& world, NativeKind kind, flagos_native_t& native) {
  native = {};
  native.struct_size = sizeof native;
  return get_native(world, kind, &native) == ok;
}

void check_shown(Context& t, const flagos_native_t& native) {
  t.check(native.handle_count >= 1 && native.handle_count <= 6, "1 to 6 handles");
  t.check(native.handles[0] != 0, "the first is not 0");
  const auto* const end = std::find(native.type, native.type + sizeof native.type, '\0');
  t.check(end != native.type && end != native.type + sizeof native.type, "the type has a name");
}

}  // namespace

FLAGOS_CASE("interop.link",
            {.clause = "flagos_device_get_link", .oracle = Oracle::code, .query = true}) {
  std::uint32_t count = 0;
  t.ok(flagos_device_get_count(t.runtime(), &count), "count the devices");
  for (std::uint32_t from = 0; from < count; ++from)
    for (std::uint32_t to = 0; to < count; ++to) {
      t.subcase("from " + std::to_string(from) + " to " + std::to_string(to));
      const flagos_link_info_t there = link_of(t, from, to), back = link_of(t, to, from);
      t.check(there.type >= FLAGOS_LINK_TYPE_UNKNOWN && there.type <= FLAGOS_LINK_TYPE_SYSTEM,
              "a type of the list");
      t.check((there.flags & ~std::uint64_t{7}) == 0 && there.padding == 0, "no unknown flag");
      t.equal(static_cast<std::uint64_t>(back.type), static_cast<std::uint64_t>(there.type),
              "the way back is of the same type");
      t.check((there.distance == 0) == (from == to) || there.type == FLAGOS_LINK_TYPE_SAME,
              "only a device itself is at distance 0");
      if (from == to) t.equal(there.type, FLAGOS_LINK_TYPE_SAME, "a device and itself");
    }
  flagos_link_info_t info;
  std::memset(&info, 0xcc, sizeof info);
  info.struct_size = sizeof info;
  t.status(flagos_device_get_link(t.runtime(), 0, count, &info), FLAGOS_STATUS_NOT_FOUND,
           "an index past the count");
  t.equal(info.flags, 0, "the answer is cleared");
}

FLAGOS_CASE("interop.locality",
            {.clause = "flagos_device_get_locality", .oracle = Oracle::code, .query = true}) {
  std::uint32_t count = 0;
  t.ok(flagos_device_get_count(t.runtime(), &count), "count the devices");
  for (std::uint32_t index = 0; index < count; ++index) {
    t.subcase("device " + std::to_string(index));
    flagos_locality_info_t info{};
    info.struct_size = sizeof info;
    t.ok(flagos_device_get_locality(t.runtime(), index, &info), "flagos_device_get_locality");
    t.check(info.numa_node >= -1 && info.numa_node < 4096, "a NUMA node, or -1");
    t.check(std::memchr(info.processors, '\0', sizeof info.processors) != nullptr, "text ends");
    t.check(std::string(info.processors).find_first_not_of("0123456789-,") == std::string::npos,
            "a list of processors: " + std::string(info.processors));
  }
  flagos_locality_info_t info{};
  info.struct_size = sizeof info;
  t.status(flagos_device_get_locality(t.runtime(), count, &info), FLAGOS_STATUS_NOT_FOUND,
           "an index past the count");
}

FLAGOS_CASE("interop.native_get", {.clause = "flagos_*_get_native",
                                   .level = Level::optional,
                                   .oracle = Oracle::code,
                                   .feature = "native_objects"}) {
  World world(t);
  int kinds = 0;
  for (const NativeKind kind : all_native_kinds) {
    t.subcase(name_of(kind));
    flagos_native_t first{}, second{};
    if (!shown(world, kind, first)) continue;
    ++kinds;
    check_shown(t, first);
    t.check(shown(world, kind, second) && std::memcmp(&first, &second, sizeof first) == 0,
            "the same each time");
  }
  t.check(kinds > 0 || wrappable_kind(world).has_value(), "an object of some kind is shown");
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("interop.native_wrap", {.clause = "flagos_*_wrap_native",
                                    .level = Level::optional,
                                    .oracle = Oracle::code,
                                    .feature = "native_objects"}) {
  World world(t);
  const auto state = world.snapshot();
  for (const NativeKind kind : all_native_kinds) {
    t.subcase(name_of(kind));
    flagos_native_t native{};
    if (!shown(world, kind, native) || wrap_and_drop(world, kind, &native) != ok) continue;
    // It stays the caller's, and so can be wrapped once more.
    t.ok(wrap_and_drop(world, kind, &native), "wrap it again");
    flagos_native_t bad = native;
    std::memset(bad.type, 0, sizeof bad.type);
    std::strcpy(bad.type, "no_such_type");
    t.status(wrap_and_drop(world, kind, &bad), invalid_argument, "another type");
    bad = native;
    bad.handles[0] = 0;
    t.status(wrap_and_drop(world, kind, &bad), invalid_argument, "a handle of 0");
    bad = native;
    bad.handle_count = 0;
    t.status(wrap_and_drop(world, kind, &bad), invalid_argument, "no handles");
    bad.handle_count = 7;
    t.status(wrap_and_drop(world, kind, &bad), invalid_argument, "more handles than there can be");
    t.status(wrap_and_drop(world, kind, &native, 2), FLAGOS_STATUS_UNSUPPORTED, "an unknown flag");
    t.check(world.snapshot() == state, "the objects that were wrapped are as before");
  }
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("interop.native_memory", {.clause = "flagos_memory_wrap_native",
                                      .level = Level::optional,
                                      .oracle = Oracle::exact,
                                      .feature = "native_objects"}) {
  World world(t);
  flagos_native_t native{};
  flagos_address_t address = 0;
  const bool wrapped =
      shown(world, NativeKind::memory, native) &&
      flagos_memory_wrap_native(world.device(), &native, World::memory_size, 0, &address) == ok;
  if (!wrapped) t.not_supported("memory of another opening cannot be wrapped");
  const auto data = t.random_bytes(World::memory_size);
  std::vector<std::uint8_t> seen(data.size());
  const auto host = [](const auto& bytes) {
    return reinterpret_cast<flagos_address_t>(bytes.data());
  };
  const flagos_status_t written =
      flagos_memory_copy(world.stream(), address, host(data), data.size());
  const flagos_status_t finished = flagos_stream_synchronize(world.stream(), 60'000'000'000u);
  // Its owner sees the bytes, also when the wrapping is gone.
  t.ok(flagos_memory_free(world.device(), address), "free what was wrapped");
  flagos_stream_t* stream = nullptr;
  t.ok(flagos_stream_create(world.spare_device(), nullptr, &stream), "a stream of the owner");
  const flagos_status_t read =
      flagos_memory_copy(stream, host(seen), world.spare_memory(), seen.size());
  flagos_stream_synchronize(stream, 60'000'000'000u);
  flagos_stream_destroy(stream);
  t.ok(written, "write to wrapped memory");
  t.ok(finished, "finish");
  t.ok(read, "read by its owner");
  t.equal_bytes(seen, data, "the bytes that were written");
  t.status(world.close(), ok, "the objects can be destroyed");
}

}  // namespace flagos::conformance
