// Every struct of every entry, from the description of the entries, in sizes that no version has: at the edge of a page that
// nobody may touch.
#include <cstring>
#include <memory>

#include "conformance/cases/guarded.hpp"
#include "conformance/cases/negatives.hpp"

namespace flagos::conformance {
namespace {

// One struct of one call, as somebody with another header would hand it over.
struct Skew {
  const Entry* entry;
  std::size_t argument;
  std::uint32_t size;     // what struct_size says
  std::uint8_t tail;      // of all bytes behind the struct that we know
  bool lone_bit = false;  // only the last one has a bit set

  bool is_in() const { return described().kind == Kind::in_struct; }
  const Argument& described() const { return entry->arguments[argument]; }
  bool is_small() const { return size < described().size; }
  bool has_tail() const { return size > described().size && (tail != 0 || lone_bit); }
  std::string name() const {
    return entry->name + ", " + described().name + ", struct_size " + std::to_string(size) +
           " of " + std::to_string(described().size) + ", tail " +
           (lone_bit ? "1 at its end" : std::to_string(tail));
  }
};

// Memory of as many bytes as the size says, in steps of a word, before the forbidden page. A small size promises less, and no
// more than that is there.
std::unique_ptr<Guarded> memory_of(const Skew& skew, const void* valid) {
  const std::size_t known = skew.described().size;
  const std::size_t there =
      skew.is_small() ? std::max<std::size_t>(8, (skew.size + 7) / 8 * 8) : skew.size;
  std::vector<std::uint8_t> bytes(there, skew.tail);
  if (skew.lone_bit) {
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
    bytes.back() = 1;
  }
  std::memcpy(bytes.data(), valid, std::min(there, known));
  std::memcpy(bytes.data(), &skew.size, sizeof skew.size);
  return std::make_unique<Guarded>(bytes);
}

std::set<flagos_status_t> expected_of(const World& world, const Skew& skew) {
  std::set<flagos_status_t> statuses = skew.entry->valid_statuses;
  if (skew.is_small()) {
    statuses = {FLAGOS_STATUS_INVALID_STRUCT_SIZE};
  } else if (skew.is_in() && skew.has_tail()) {
    statuses = {FLAGOS_STATUS_UNSUPPORTED};
  }
  const flagos_feature_t needs = skew.entry->needs;
  if (needs != FLAGOS_FEATURE_COUNT && !world.has(needs))
    statuses.insert(FLAGOS_STATUS_UNSUPPORTED);
  return statuses;
}

void use(Context& t, World& world, const Skew& skew) {
  t.subcase(skew.name());
  std::unique_ptr<Guarded> memory;  // outlives the call, which may look at it when it takes back
  Call call(world, *skew.entry);
  if (!applies(call)) return;
  memory = memory_of(skew, reinterpret_cast<const void*>(call.values[skew.argument]));
  const std::vector<std::uint8_t> before(memory->data(), memory->data() + memory->size());
  call.values[skew.argument] = reinterpret_cast<std::uint64_t>(memory->data());
  const flagos_status_t status = call.run();
  const auto expected = expected_of(world, skew);
  t.check(expected.contains(status),
          "one of " + std::to_string(expected.size()) + " statuses, the first of them " +
              flagos_status_get_name(*expected.begin()) + ", found " +
              flagos_status_get_name(status) + ": " + flagos_last_error());
  if (skew.is_in() || skew.is_small()) {
    t.check(std::equal(before.begin(), before.end(), memory->data()),
            "what was handed over is not written");
  } else {
    std::uint32_t size = 0;
    std::memcpy(&size, memory->data(), sizeof size);
    t.equal(size, skew.size, "struct_size stays what its owner wrote");
  }
}

std::vector<Skew> skews_of(Context& t, const Entry& entry, std::size_t argument) {
  const auto known = static_cast<std::uint32_t>(entry.arguments[argument].size);
  std::vector<Skew> all;
  for (const std::uint32_t size : {0u, 7u, known - 4, known - 1})
    all.push_back({&entry, argument, size, 0xff});
  for (const std::uint32_t more : {0u, 8u, 4096u}) {
    all.push_back({&entry, argument, known + more, 0});
    if (more == 0) continue;
    all.push_back({&entry, argument, known + more, 0xff});
    all.push_back({&entry, argument, known + more, 0, true});
  }
  for (std::uint32_t i = 0; i < (t.settings().quick ? 2u : 40u); ++i) {
    all.push_back({&entry, argument, static_cast<std::uint32_t>(t.random_below(known)), 0xff});
    const auto more = static_cast<std::uint32_t>(8 * t.random_below(1000));
    all.push_back(
        {&entry, argument, known + more, static_cast<std::uint8_t>(t.random_below(2) * 0x5a)});
  }
  return all;
}

}  // namespace

FLAGOS_CASE("abi.struct.skew_every_entry",
            {.clause = "flagos.h: Structs; of every entry, in any size, at the edge of a page",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  World world(t);
  std::uint32_t structs = 0;
  for (const Entry& entry : entries()) {
    for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
      const Kind kind = entry.arguments[i].kind;
      if (kind != Kind::in_struct && kind != Kind::out_struct) continue;
      ++structs;
      for (const Skew& skew : skews_of(t, entry, i)) use(t, world, skew);
    }
  }
  t.subcase("after all of them");
  t.check(structs > 40,
          "the description has structs, and " + std::to_string(structs) + " were used");
  flagos_stream_reset(world.stream());
  t.ok(flagos_stream_synchronize(world.stream(), 60'000'000'000u), "the stream is healthy");
  t.ok(world.close(), "destroy all objects");
  t.smoke();
}

}  // namespace flagos::conformance
