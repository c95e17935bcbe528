// How every struct of the ABI may grow, shrink and be chained, from the description in structs.hpp.
#include <algorithm>
#include <cstring>

#include "conformance/cases/guarded.hpp"
#include "conformance/cases/negatives.hpp"
#include "conformance/cases/structs.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_size = FLAGOS_STATUS_INVALID_STRUCT_SIZE;

// OK, or UNSUPPORTED where the device does not have the feature; INVALID_HANDLE where the object that the call needs cannot be
// made for that reason.
std::set<flagos_status_t> accepted(const World& world, const Struct& row) {
  if (!usable(world, row)) return {unsupported, FLAGOS_STATUS_INVALID_HANDLE};
  return {ok};
}

std::set<flagos_status_t> refused(const World& world, const Struct& row,
                                  std::set<flagos_status_t> statuses) {
  if (!usable(world, row)) statuses.insert({unsupported, FLAGOS_STATUS_INVALID_HANDLE});
  return statuses;
}

void expect(Context& t, flagos_status_t status, const std::set<flagos_status_t>& expected) {
  t.check(expected.contains(status), "expected " + names_of(expected) + ", got " +
                                         flagos_status_get_name(status) + ": " +
                                         flagos_last_error());
}

template <class T>
void put(std::uint8_t* bytes, std::size_t offset, T value) {
  std::memcpy(bytes + offset, &value, sizeof value);
}

// A valid struct of `size` bytes right before a page that nobody may touch.
void use_at_size(Context& t, World& world, const Struct& row, std::size_t size, std::uint8_t tail,
                 const std::set<flagos_status_t>& expected) {
  t.subcase(row.name + ", struct_size " + std::to_string(size) + ", tail " + std::to_string(tail));
  std::vector<std::uint8_t> bytes = row.valid(world);
  bytes.resize(size, tail);
  put(bytes.data(), 0, static_cast<std::uint32_t>(size));
  const Guarded guarded(bytes);
  expect(t, row.use(world, guarded.data()), expected);
}

// What the struct_size says, without the memory that it promises: below the minimum nothing else is
// read.
void use_with_claim(Context& t, World& world, const Struct& row, std::uint32_t claimed) {
  t.subcase(row.name + ", struct_size " + std::to_string(claimed));
  const Guarded guarded(row.valid(world));
  put(guarded.data(), 0, claimed);
  expect(t, row.use(world, guarded.data()), refused(world, row, {invalid_size}));
}

void with_chain(Context& t, World& world, const Struct& row, const flagos_extension_t* chain,
                const std::set<flagos_status_t>& expected) {
  auto bytes = row.valid(world);
  put(bytes.data(), static_cast<std::size_t>(row.next_offset), chain);
  expect(t, row.use(world, bytes.data()), expected);
}

void finish(Context& t, World& world) {
  t.subcase("after all of them");
  t.ok(flagos_stream_synchronize(world.stream(), 60'000'000'000u), "the stream is healthy");
  world.snapshot();
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

std::vector<Struct> chained_structs() {
  std::vector<Struct> rows = in_structs();
  std::erase_if(rows, [](const Struct& row) { return row.next_offset < 0; });
  return rows;
}

flagos_extension_t extension(std::uint32_t type, const flagos_extension_t* next = nullptr) {
  return {sizeof(flagos_extension_t), type, next};
}

constexpr std::uint32_t ignorable = FLAGOS_EXTENSION_IGNORABLE;

}  // namespace

FLAGOS_CASE("abi.struct.size_exact", {.clause = "flagos.h: Structs", .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : in_structs())
    use_at_size(t, world, row, row.size, 0, accepted(world, row));
  finish(t, world);
}

FLAGOS_CASE("abi.struct.size_older_min",
            {.clause = "flagos.h: Structs; the size of 1.0", .oracle = Oracle::code}) {
  World world(t);
  // 1.0 is the oldest version: its size, with the forbidden page behind it, on a fresh valid struct
  // each time.
  for (const Struct& row : in_structs())
    for (int i = 0; i < 2; ++i) use_at_size(t, world, row, row.size, 0, accepted(world, row));
  finish(t, world);
}

FLAGOS_CASE("abi.struct.size_newer_zero_tail",
            {.clause = "flagos.h: Structs; an unknown zero tail is ignored",
             .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : in_structs())
    for (const std::size_t more : {8, 64, 4000})
      use_at_size(t, world, row, row.size + more, 0, accepted(world, row));
  finish(t, world);
}

FLAGOS_CASE("abi.struct.size_newer_nonzero_tail",
            {.clause = "flagos.h: Structs; an unknown tail must be zero", .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : in_structs())
    for (const std::size_t more : {8, 4000}) {
      use_at_size(t, world, row, row.size + more, 0xff, refused(world, row, {unsupported}));
      // One bit in the last byte is enough.
      t.subcase(row.name + ", one bit at the end of " + std::to_string(more) + " bytes");
      std::vector<std::uint8_t> bytes = row.valid(world);
      bytes.resize(row.size + more, 0);
      bytes.back() = 1;
      put(bytes.data(), 0, static_cast<std::uint32_t>(bytes.size()));
      expect(t, row.use(world, bytes.data()), refused(world, row, {unsupported}));
    }
  finish(t, world);
}

FLAGOS_CASE("abi.struct.size_too_small",
            {.clause = "INVALID_STRUCT_SIZE", .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : in_structs())
    for (const std::uint32_t size : {0u, 1u, 4u, static_cast<std::uint32_t>(row.size) - 8,
                                     static_cast<std::uint32_t>(row.size) - 1})
      use_with_claim(t, world, row, size);
  for (const Struct& row : out_structs()) {
    if (!usable(world, row)) continue;
    for (const std::uint32_t size : {0u, 1u, 4u, static_cast<std::uint32_t>(row.size) - 1}) {
      t.subcase(row.name + ", struct_size " + std::to_string(size));
      std::vector<std::uint8_t> bytes(row.size, 0);
      put(bytes.data(), 0, size);
      expect(t, row.use(world, bytes.data()), {invalid_size});
    }
  }
  finish(t, world);
}

FLAGOS_CASE("abi.struct.out_truncation",
            {.clause = "flagos.h: Structs; at most struct_size bytes are written",
             .oracle = Oracle::exact}) {
  World world(t);
  for (const Struct& row : out_structs()) {
    if (!usable(world, row)) continue;
    t.subcase(row.name + " of its 1.0 size");
    const Guarded exact(row.size);
    std::memset(exact.data(), 0xcc, row.size);
    put(exact.data(), 0, static_cast<std::uint32_t>(row.size));
    t.ok(row.use(world, exact.data()), "it fits");
    t.subcase(row.name + " of a newer size");
    const Guarded larger(row.size + 64);
    std::memset(larger.data(), 0, row.size + 64);
    put(larger.data(), 0, static_cast<std::uint32_t>(row.size + 64));
    t.ok(row.use(world, larger.data()), "an unknown tail is left alone");
    t.check(std::memcmp(exact.data() + 4, larger.data() + 4,
                        std::min<std::size_t>(row.size - 4, 12)) == 0,
            "both say the same");
    t.check(std::all_of(larger.data() + row.size, larger.data() + row.size + 64,
                        [](std::uint8_t byte) { return byte == 0; }),
            "the tail stays zero");
    t.subcase(row.name + ", one byte short, between canaries");
    std::vector<std::uint8_t> canaries(row.size + 64, 0x5a);
    put(canaries.data(), 0, static_cast<std::uint32_t>(row.size - 1));
    t.status(row.use(world, canaries.data()), invalid_size, "it does not fit");
    t.check(std::all_of(canaries.begin() + static_cast<std::ptrdiff_t>(row.size) - 1,
                        canaries.end(), [](std::uint8_t byte) { return byte == 0x5a; }),
            "nothing behind struct_size is written");
  }
  finish(t, world);
}

FLAGOS_CASE("abi.struct.reserved_nonzero",
            {.clause = "flagos.h: Structs; a named padding member must be 0",
             .oracle = Oracle::code}) {
  World world(t);
  std::size_t members = 0;
  for (const Struct& row : in_structs()) {
    std::vector<std::size_t> offsets = row.padding;
    for (const FlagsMember& flags : row.flags)
      if (flags.known == 0) offsets.push_back(flags.offset);
    for (const std::size_t offset : offsets)
      for (const std::uint32_t value : {1u, 0x80000000u}) {
        t.subcase(row.name + ", the member at " + std::to_string(offset) + " = " +
                  std::to_string(value));
        auto bytes = row.valid(world);
        put(bytes.data(), offset, value);
        expect(t, row.use(world, bytes.data()),
               refused(world, row, {unsupported, invalid_argument}));
        ++members;
      }
  }
  t.check(members >= 20, "members that must be zero were tried");
  finish(t, world);
}

FLAGOS_CASE("abi.ext.unknown_optional",
            {.clause = "FLAGOS_EXTENSION_IGNORABLE", .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : chained_structs())
    for (const std::uint32_t type : {1u, 0x7fffffffu, 0x7abcdef0u}) {
      t.subcase(row.name + ", extension " + std::to_string(type));
      const flagos_extension_t last = extension(ignorable | 5),
                               first = extension(ignorable | type, &last);
      with_chain(t, world, row, &last, accepted(world, row));
      with_chain(t, world, row, &first, accepted(world, row));
    }
  finish(t, world);
}

FLAGOS_CASE("abi.ext.unknown_required",
            {.clause = "flagos.h: Structs; an unknown chained struct", .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : chained_structs())
    for (const std::uint32_t type : {0u, 1u, 0x7fffffffu}) {
      t.subcase(row.name + ", extension " + std::to_string(type));
      const flagos_extension_t required = extension(type),
                               before = extension(ignorable | 1, &required);
      const auto state = world.snapshot();
      with_chain(t, world, row, &required, refused(world, row, {unsupported}));
      with_chain(t, world, row, &before, refused(world, row, {unsupported}));
      t.check(world.snapshot() == state, "a refused call has no effect");
    }
  finish(t, world);
}

FLAGOS_CASE("abi.ext.chain_order",
            {.clause = "flagos_extension_t", .level = Level::full, .oracle = Oracle::code}) {
  World world(t);
  for (const Struct& row : chained_structs()) {
    std::vector<std::uint32_t> types{1, 2, 3};
    do {
      t.subcase(row.name + ", order " + std::to_string(types[0]) + std::to_string(types[1]) +
                std::to_string(types[2]));
      const flagos_extension_t third = extension(ignorable | types[2]);
      const flagos_extension_t second = extension(ignorable | types[1], &third);
      const flagos_extension_t first = extension(ignorable | types[0], &second);
      with_chain(t, world, row, &first, accepted(world, row));
    } while (std::next_permutation(types.begin(), types.end()));
  }
  finish(t, world);
}

FLAGOS_CASE("abi.ext.chain_dup_cycle",
            {.clause = "FLAGOS_EXTENSION_CHAIN_MAX", .oracle = Oracle::live}) {
  World world(t);
  std::vector<flagos_extension_t> chain(1000, extension(ignorable | 7));
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) chain[i].next = &chain[i + 1];
  flagos_extension_t itself = extension(ignorable | 7);
  itself.next = &itself;
  flagos_extension_t ring[2] = {extension(ignorable | 7), extension(ignorable | 8)};
  ring[0].next = &ring[1];
  ring[1].next = &ring[0];
  for (const Struct& row : chained_structs()) {
    const auto too_long = refused(world, row, {invalid_argument});
    t.subcase(row.name + ", one struct twice");
    const flagos_extension_t last = extension(ignorable | 7),
                             twice = extension(ignorable | 7, &last);
    const auto duplicate = accepted(world, row);
    with_chain(t, world, row, &twice, duplicate);
    t.subcase(row.name + ", the longest chain");
    with_chain(t, world, row, &chain[1000 - FLAGOS_EXTENSION_CHAIN_MAX], accepted(world, row));
    t.subcase(row.name + ", one more than the longest chain");
    with_chain(t, world, row, &chain[1000 - FLAGOS_EXTENSION_CHAIN_MAX - 1], too_long);
    t.subcase(row.name + ", 1000 structs");
    with_chain(t, world, row, &chain[0], too_long);
    t.subcase(row.name + ", a struct that is its own successor");
    with_chain(t, world, row, &itself, too_long);
    t.subcase(row.name + ", a ring of two");
    with_chain(t, world, row, &ring[0], too_long);
  }
  finish(t, world);
}

FLAGOS_CASE("abi.ext.query_unknown_id",
            {.clause = "flagos_get_proc, flagos_device_find: NOT_FOUND", .oracle = Oracle::code}) {
  for (const char* const name : {"", "flagos_", "flagos_stream_create_with_nothing", "printf"}) {
    t.subcase("function '" + std::string(name) + "'");
    auto found = reinterpret_cast<flagos_proc_t>(&flagos_last_error);
    t.status(flagos_get_proc(name, FLAGOS_ABI_VERSION, &found), FLAGOS_STATUS_NOT_FOUND,
             "there is none");
    t.check(found == nullptr, "the result is cleared");
  }
  for (const std::string& name : header_functions()) {
    t.subcase("function " + name);
    flagos_proc_t found = nullptr;
    t.ok(flagos_get_proc(name.c_str(), FLAGOS_ABI_VERSION, &found), "it is found");
    t.check(found != nullptr, "it is not NULL");
  }
  t.smoke();
}

FLAGOS_CASE("abi.enum.unknown_values",
            {.clause = "flagos.h: enum values out of their list", .oracle = Oracle::code}) {
  World world(t);
  for (const Negative& negative : listed_values({Kind::enumeration}))
    check_negative(t, world, negative);
  for (const Struct& row : in_structs())
    for (const EnumMember& member : row.enums)
      for (const std::int32_t value : member.unknown) {
        t.subcase(row.name + ", the member at " + std::to_string(member.offset) + " = " +
                  std::to_string(value));
        auto bytes = row.valid(world);
        put(bytes.data(), member.offset, value);
        expect(t, row.use(world, bytes.data()), refused(world, row, member.statuses));
      }
  finish(t, world);
}

FLAGOS_CASE("abi.flags.unknown_bits",
            {.clause = "flagos.h: Structs; an unknown flag", .oracle = Oracle::code}) {
  World world(t);
  for (const Negative& negative : listed_values({Kind::flags})) check_negative(t, world, negative);
  for (const Struct& row : in_structs())
    for (const FlagsMember& member : row.flags)
      for (std::size_t bit = 0; bit < member.size * 8; ++bit) {
        const std::uint64_t flag = std::uint64_t{1} << bit;
        if ((member.known & flag) != 0) continue;
        t.subcase(row.name + ", bit " + std::to_string(bit));
        auto bytes = row.valid(world);
        std::uint64_t flags = 0;
        std::memcpy(&flags, bytes.data() + member.offset, member.size);
        flags |= flag;
        std::memcpy(bytes.data() + member.offset, &flags, member.size);
        expect(t, row.use(world, bytes.data()), refused(world, row, {unsupported}));
      }
  finish(t, world);
}

}  // namespace flagos::conformance
