// What a device says it can do, it does; what it says it cannot, it refuses.
#include <algorithm>
#include <cstdio>

#include "conformance/cases/feature_probes.hpp"
#include "conformance/cases/negatives.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// The features and limits as one text.
std::string capabilities(Context& t) {
  std::string text = std::to_string(t.info().capabilities);
  for (flagos_feature_t feature = 0; feature < FLAGOS_FEATURE_COUNT; ++feature)
    text += "," + std::to_string(t.support(feature));
  text += "," + std::to_string(t.info().max_allocation_bytes) + "," +
          std::to_string(t.info().max_block_threads) + "," +
          std::to_string(t.info().max_shared_bytes);
  return text;
}

FLAGOS_HELPER("dev_capabilities") {
  return run_checks(h, [](Context& t) { std::printf("<%s>", capabilities(t).c_str()); });
}

}  // namespace

FLAGOS_CASE("dev.cap.bits_match_behaviour",
            {.clause = "flagos_device_get_feature: what is there works", .oracle = Oracle::exact}) {
  t.smoke();
  for (const FeatureProbe& probe : feature_probes()) {
    if (!t.has(probe.feature)) continue;
    World world(t);
    t.subcase(probe.name);
    probe.run(t, world);
    t.status(world.close(), ok, "the objects can be destroyed");
  }
}

FLAGOS_CASE("dev.cap.unadvertised_refuses",
            {.clause = "FLAGOS_SUPPORT_ABSENT: the entry points return UNSUPPORTED",
             .oracle = Oracle::code}) {
  World world(t);
  for (const Entry& entry : entries()) {
    if (entry.needs == FLAGOS_FEATURE_COUNT || world.has(entry.needs)) continue;
    t.subcase(entry.name);
    Call call(world, entry);
    if (!applies(call)) continue;
    const auto before = world.snapshot();
    t.status(call.run(), FLAGOS_STATUS_UNSUPPORTED, "an absent feature");
    t.check(call.uncleared().empty(), "out parameters are cleared, it left " + call.uncleared());
    t.check(world.snapshot() == before, "no partial effect");
  }
  for (const auto& [feature, kind] :
       {std::pair{FLAGOS_FEATURE_PINNED_MEMORY, FLAGOS_MEMORY_KIND_PINNED},
        std::pair{FLAGOS_FEATURE_MANAGED_MEMORY, FLAGOS_MEMORY_KIND_MANAGED}}) {
    if (t.has(feature)) continue;
    t.subcase("memory of kind " + std::to_string(kind));
    auto desc = world.valid<flagos_memory_desc_t>();
    desc.kind = kind;
    flagos_address_t address = 1;
    t.status(flagos_memory_alloc(world.device(), &desc, &address), FLAGOS_STATUS_UNSUPPORTED,
             "an absent kind");
    t.equal(address, 0, "the address is cleared");
  }
  if (!t.has(FLAGOS_FEATURE_WIDE_FILL)) {
    const std::uint64_t pattern[2] = {1, 2};
    t.status(flagos_memory_fill(world.stream(), world.target(), pattern, 16, 64),
             FLAGOS_STATUS_UNSUPPORTED, "a wide fill");
  }
  t.smoke();
}

// Every bit pattern of 8 and 16 bits, and a sample of the wider ones, passes through a kernel
// unchanged.
FLAGOS_CASE("dev.cap.dtype_matrix",
            {.clause = "flagos_kernel_launch: data of every type keeps its bits",
             .oracle = Oracle::exact}) {
  std::vector<std::uint32_t> words;
  for (std::uint32_t i = 0; i < 65536; i += 2)
    words.push_back(i | (i + 1) << 16);  // all of 16 bits, and so all of 8
  for (const std::uint32_t special :
       {0x00000000u, 0x80000000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0xffffffffu,
        0x00000001u, 0x007fffffu, 0x7ff00000u, 0xfff80000u})
    words.push_back(special);
  while (words.size() < 65536) words.push_back(static_cast<std::uint32_t>(t.random()()));
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(words.data()),
                                            words.size() * 4);
  Buffer source(t, bytes.size()), target(t, bytes.size());
  source.write(bytes);
  Stream stream(t);
  const auto count = static_cast<std::uint32_t>(words.size());
  const std::uint32_t threads =
      std::min(t.info().max_block_threads, std::min(t.info().max_block[0], 256u));
  launch(t, stream, t.kernel("copy_u32"), {(count + threads - 1) / threads, 1, 1}, {threads, 1, 1},
         {arg(target.address()), arg(source.address()), arg_u32(count)});
  stream.synchronize();
  t.equal_bytes(target.read(), bytes, "the bits of all types");
}

FLAGOS_CASE("dev.cap.no_change_under_suite",
            {.clause = "conformance 2.0: anti-gaming; capabilities are constant",
             .oracle = Oracle::exact,
             .isolation = Isolation::own}) {
  const std::string before = capabilities(t);
  t.smoke();
  {
    World world(t);
    for (const Entry& entry : entries()) Call(world, entry).run();
  }
  t.check(capabilities(t) == before, "the capabilities after use: " + before);
  std::string text;
  t.equal(static_cast<std::uint64_t>(t.run_helper("dev_capabilities", {}, 60, &text)), 0,
          "exit code of the other process: " + text);
  t.check(text.find("<" + before + ">") != std::string::npos,
          "the capabilities in another process: " + text);
}

}  // namespace flagos::conformance
