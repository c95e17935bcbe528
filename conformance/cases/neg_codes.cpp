// neg.error_code_exact, and its rows on memory.
#include "conformance/cases/neg_codes.hpp"
#include "conformance/cases/module_support.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr auto invalid_size = FLAGOS_STATUS_INVALID_STRUCT_SIZE;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto out_of_memory = FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;

void alloc_rows(std::vector<CodeRow>& rows, const CodeFacts& facts) {
  using Desc = flagos_memory_desc_t;
  const char* const entry = "flagos_memory_alloc";
  for (const int kind : {0, 4, 5, -1})
    rows.push_back({entry, "kind " + std::to_string(kind),
                    change<Desc>("desc", [=](Desc& desc) { desc.kind = kind; }), invalid_argument});
  for (const std::uint64_t alignment : {std::uint64_t{3}, std::uint64_t{48}, std::uint64_t{65537},
                                        std::uint64_t{131072}, std::uint64_t{1} << 63, UINT64_MAX})
    rows.push_back({entry, "alignment " + std::to_string(alignment),
                    change<Desc>("desc", [=](Desc& desc) { desc.alignment_bytes = alignment; }),
                    invalid_argument});
  for (const std::uint64_t size : {facts.device.max_allocation_bytes + 1, std::uint64_t{1} << 62,
                                   UINT64_MAX - 4095, UINT64_MAX})
    rows.push_back({entry, "size " + std::to_string(size),
                    change<Desc>("desc", [=](Desc& desc) { desc.size_bytes = size; }),
                    out_of_memory});
  for (const std::uint64_t flags : {std::uint64_t{4}, std::uint64_t{1} << 63})
    rows.push_back({entry, "flags " + std::to_string(flags),
                    change<Desc>("desc", [=](Desc& desc) { desc.flags = flags; }), unsupported});
  rows.push_back({entry, "an unknown extension",
                  change<Desc>("desc", [](Desc& desc) { desc.next = required_extension(); }),
                  unsupported});
  for (const std::uint32_t size : {0u, 1u, static_cast<std::uint32_t>(sizeof(Desc)) - 1})
    rows.push_back({entry, "struct_size " + std::to_string(size),
                    change<Desc>("desc", [=](Desc& desc) { desc.struct_size = size; }),
                    invalid_size});
}

void free_rows(std::vector<CodeRow>& rows) {
  rows.push_back({"flagos_memory_free", "the middle of an allocation",
                  [](Call& call) { call["address"] = call.world.memory() + 256; }, invalid_handle});
  rows.push_back({"flagos_memory_free", "one byte in", [](Call& call) { call["address"] += 1; },
                  invalid_handle});
  rows.push_back(
      {"flagos_memory_free", "host memory",
       [](Call& call) { call["address"] = reinterpret_cast<std::uint64_t>(call.keep(64)); },
       invalid_handle});
  rows.push_back({"flagos_memory_free", "freed already",
                  [](Call& call) { flagos_memory_free(call.world.device(), call["address"]); },
                  invalid_handle});
  rows.push_back({"flagos_memory_pool_free", "not of a pool",
                  [](Call& call) { call["address"] = call.world.memory(); }, invalid_handle});
  rows.push_back({"flagos_memory_pool_free", "one byte in",
                  [](Call& call) { call["address"] += 1; }, invalid_handle});
  rows.push_back({"flagos_memory_pool_free", "freed already",
                  [](Call& call) {
                    flagos_memory_pool_free(call.world.pool(), call.world.stream(),
                                            call["address"]);
                  },
                  invalid_handle});
  rows.push_back({"flagos_memory_pool_destroy", "a live block",
                  [](Call& call) {
                    auto* const pool = reinterpret_cast<flagos_memory_pool_t*>(call["pool"]);
                    flagos_address_t block = 0;
                    flagos_memory_pool_alloc(pool, call.world.stream(), 256, &block);
                    call.undo([pool, block, &world = call.world] {
                      flagos_memory_pool_free(pool, world.stream(), block);
                    });
                  },
                  FLAGOS_STATUS_BUSY});
  using Pool = flagos_memory_pool_desc_t;
  for (const int kind : {0, 4, 77})
    rows.push_back({"flagos_memory_pool_create", "kind " + std::to_string(kind),
                    change<Pool>("desc", [=](Pool& desc) { desc.kind = kind; }), invalid_argument});
  rows.push_back({"flagos_memory_pool_create", "flags 1",
                  change<Pool>("desc", [](Pool& desc) { desc.flags = 1; }), unsupported});
}

void copy_rows(std::vector<CodeRow>& rows) {
  const char* const entry = "flagos_memory_copy";
  rows.push_back({entry, "one byte past the target",
                  [](Call& call) { call["target"] = call.world.memory() + 4096 - 63; },
                  invalid_argument});
  rows.push_back({entry, "one byte past the source",
                  [](Call& call) { call["source"] = call.world.memory() + 4096 - 63; },
                  invalid_argument});
  rows.push_back({entry, "a target that wraps",
                  [](Call& call) { call["target"] = UINT64_MAX - 31; }, invalid_argument});
  rows.push_back({entry, "a source that wraps",
                  [](Call& call) { call["source"] = UINT64_MAX - 31; }, invalid_argument});
  rows.push_back({"flagos_memory_update", "one byte past the target",
                  [](Call& call) { call["target"] = call.world.memory() + 4096 - 63; },
                  invalid_argument});
  rows.push_back({"flagos_memory_update", "a target that wraps", set("target", UINT64_MAX - 31),
                  invalid_argument});

  using Desc = flagos_copy_2d_desc_t;
  const auto bad = [&](const char* what, auto change_desc,
                       flagos_status_t status = invalid_argument) {
    rows.push_back({"flagos_memory_copy_2d", what, change<Desc>("desc", change_desc), status});
  };
  bad("target 0", [](Desc& desc) { desc.target = 0; });
  bad("source 0", [](Desc& desc) { desc.source = 0; });
  bad("a target pitch below the width",
      [](Desc& desc) { desc.target_pitch_bytes = desc.width_bytes - 1; });
  bad("a source pitch below the width", [](Desc& desc) { desc.source_pitch_bytes = 0; });
  bad("a row past the target", [](Desc& desc) {
    desc.height = 2048 / 64 + 1;
    desc.source_pitch_bytes = 32;
  });
  bad("a row past the source", [](Desc& desc) {
    desc.source_pitch_bytes = 4096;
    desc.height = 2;
  });
  bad("2^64 - 1 rows", [](Desc& desc) { desc.height = UINT64_MAX; });
  bad("pitches that wrap", [](Desc& desc) { desc.target_pitch_bytes = std::uint64_t{1} << 63; });
  bad("a width of 2^63", [](Desc& desc) {
    desc.width_bytes = desc.target_pitch_bytes = desc.source_pitch_bytes = std::uint64_t{1} << 63;
  });
  bad(
      "flags 1", [](Desc& desc) { desc.flags = 1; }, unsupported);
  bad(
      "struct_size 8", [](Desc& desc) { desc.struct_size = 8; }, invalid_size);
  bad(
      "an unknown extension", [](Desc& desc) { desc.next = required_extension(); }, unsupported);
}

void fill_rows(std::vector<CodeRow>& rows) {
  for (const std::uint64_t size : {0, 3, 5, 6, 7, 9, 12, 15, 17, 32, 64})
    rows.push_back({"flagos_memory_fill", "a pattern of " + std::to_string(size),
                    set("pattern_size_bytes", size), invalid_argument});
  for (const std::uint64_t size : {2, 4, 8, 16}) {
    rows.push_back({"flagos_memory_fill", "a misaligned target for " + std::to_string(size),
                    [=](Call& call) {
                      call["pattern_size_bytes"] = size;
                      call["target"] += size / 2;
                    },
                    invalid_argument});
    rows.push_back({"flagos_memory_fill", "a broken last pattern of " + std::to_string(size),
                    [=](Call& call) {
                      call["pattern_size_bytes"] = size;
                      call["size_bytes"] = 64 + size / 2;
                    },
                    invalid_argument});
    rows.push_back({"flagos_memory_fill", "past the end by one pattern of " + std::to_string(size),
                    [=](Call& call) {
                      call["pattern_size_bytes"] = size;
                      call["size_bytes"] = 2048 + size;
                    },
                    invalid_argument});
  }
}

void value_rows(std::vector<CodeRow>& rows) {
  for (const char* const entry : {"flagos_stream_write_value", "flagos_stream_wait_value"}) {
    const char* const address = entry[14] == 'w' && entry[15] == 'r' ? "target" : "source";
    for (const std::uint64_t size : {0, 1, 2, 3, 5, 16})
      rows.push_back(
          {entry, std::to_string(size) + " bytes", set("size_bytes", size), invalid_argument});
    for (const std::uint64_t offset : {1, 2, 3})
      rows.push_back({entry, "misaligned by " + std::to_string(offset),
                      [=](Call& call) { call[address] += offset; }, invalid_argument});
    rows.push_back({entry, "8 bytes at half of their alignment",
                    [=](Call& call) {
                      call["size_bytes"] = 8;
                      call[address] += 4;
                    },
                    invalid_argument});
    rows.push_back({entry, "8 bytes across the end",
                    [=](Call& call) {
                      call["size_bytes"] = 8;
                      call[address] = call.world.memory() + 4096 - 4;
                    },
                    invalid_argument});
  }
}

CodeFacts facts_of(Context& t, World& world) {
  CodeFacts facts{};
  facts.device = t.info();
  facts.has_binary_image = is_binary(world.image());
  facts.kernel.struct_size = sizeof facts.kernel;
  t.ok(flagos_kernel_get_info(world.kernel(), &facts.kernel), "describe the kernel");
  for (std::uint32_t i = 0;; ++i) {
    facts.format.struct_size = sizeof facts.format;
    t.ok(flagos_module_get_format(world.device(), i, &facts.format),
         "the format of the suite's kernels is listed");
    if (facts.format.name == world.image_format()) return facts;
  }
}

}  // namespace

std::vector<CodeRow> memory_code_rows(const CodeFacts& facts) {
  std::vector<CodeRow> rows;
  alloc_rows(rows, facts);
  free_rows(rows);
  copy_rows(rows);
  fill_rows(rows);
  value_rows(rows);
  return rows;
}

FLAGOS_CASE("neg.error_code_exact", {.clause = "flagos.h: each @retval", .oracle = Oracle::code}) {
  World world(t);
  const CodeFacts facts = facts_of(t, world);
  for (const auto make_rows : {memory_code_rows, object_code_rows, module_code_rows,
                               launch_code_rows, graph_code_rows, interop_code_rows})
    for (const CodeRow& row : make_rows(facts)) {
      const Entry& entry = entry_of(row.entry);
      t.subcase(row.entry + ", " + row.what);
      Call call(world, entry);
      if (!applies(call)) continue;
      row.spoil(call);
      const auto expected = expected_of(world, {&entry, 0, 0, {row.status}, ""});
      const flagos_status_t status = call.run();
      t.check(expected.contains(status), "expected " + names_of(expected) + ", got " +
                                             flagos_status_get_name(status) + ": " +
                                             flagos_last_error());
      check_error_text(t, status);
      const std::string uncleared =
          status == FLAGOS_STATUS_BUFFER_TOO_SMALL ? "" : call.uncleared();
      t.check(uncleared.empty(), "out parameters are cleared, it left " + uncleared);
    }
  t.subcase("after all of them");
  t.ok(flagos_stream_synchronize(world.stream(), 60'000'000'000u), "the stream is healthy");
  t.status(world.close(), FLAGOS_STATUS_OK, "the objects can be destroyed");
  t.smoke();
}

}  // namespace flagos::conformance
