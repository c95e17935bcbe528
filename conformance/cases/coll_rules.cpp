// What native collectives say of themselves, and what they keep to from the first call to the last.
#include <cstring>
#include <limits>

#include "conformance/cases/coll_support.hpp"
#include "conformance/cases/growth.hpp"

namespace flagos::conformance {

using namespace coll;

namespace {

constexpr auto int32 = FLAGOS_DTYPE_INT32;

struct Row {
  flagos_collective_operation_t operation;
  const char* name;
  Function function;
};
// Those that a rank may call alone, outside of a group.
constexpr Row rows[] = {
    {FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, "all_reduce", flagos_collective_all_reduce},
    {FLAGOS_COLLECTIVE_OPERATION_REDUCE, "reduce", flagos_collective_reduce},
    {FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER, "reduce_scatter",
     flagos_collective_reduce_scatter},
    {FLAGOS_COLLECTIVE_OPERATION_BROADCAST, "broadcast", flagos_collective_broadcast},
    {FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, "all_gather", flagos_collective_all_gather},
    {FLAGOS_COLLECTIVE_OPERATION_GATHER, "gather", flagos_collective_gather},
    {FLAGOS_COLLECTIVE_OPERATION_SCATTER, "scatter", flagos_collective_scatter},
    {FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, "all_to_all", flagos_collective_all_to_all},
};

bool reduces(flagos_collective_operation_t operation) {
  return operation <= FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER;
}

// A communicator for each rank of the old ones; checks what each says of itself.
void split_and_sum(Context& t, Ranks& ranks, std::int32_t round) {
  std::vector<flagos_communicator_t*> parts(ranks.size());
  std::vector<flagos_status_t> statuses(ranks.size());
  // In odd rounds all ranks but the last in reverse order, and the last alone; in even ones all together.
  const bool apart = round % 2 == 1;
  const std::uint32_t last = ranks.size() - 1;
  in_threads(ranks.size(), [&](std::uint32_t i) {
    statuses[i] = flagos_communicator_split(ranks.communicator(i), apart && i == last ? 1 : 0,
                                            apart ? -static_cast<std::int32_t>(i) : 0, &parts[i]);
  });
  if (statuses[0] == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin does not split");
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < (apart ? last : last + 1); ++i) sum += i + 1;
  for (std::uint32_t i = 0; i <= last; ++i) {
    t.ok(statuses[i], "split");
    flagos_communicator_info_t info{};
    info.struct_size = sizeof info;
    t.ok(flagos_communicator_get_info(parts[i], &info), "describe a part");
    const bool alone = apart && i == last;
    t.equal(info.size, alone ? 1 : apart ? last : last + 1, "its size");
    t.equal(info.rank, alone ? 0 : apart ? last - 1 - i : i, "its rank");
    ranks.source(i).write(encoded({i + 1}, int32));
  }
  in_threads(ranks.size(), [&](std::uint32_t i) {
    const Desc desc = ranks.desc(i, int32, 1);
    statuses[i] = flagos_collective_all_reduce(parts[i], ranks.stream(i), &desc);
  });
  for (std::uint32_t i = 0; i <= last; ++i) {
    t.ok(statuses[i], "all_reduce in a part");
    ranks.stream(i).synchronize();
    t.equal_bytes(ranks.target(i).read(0, 4), encoded({apart && i == last ? last + 1 : sum}, int32),
                  "the sum of the part");
    t.ok(flagos_communicator_destroy(parts[i]), "destroy a part");
  }
}

}  // namespace

FLAGOS_CASE("coll.query.as_called",
            (options_of("flagos_collective_query: what it says is so", Oracle::code))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  Ranks ranks(t, 1);
  const std::uint32_t known =
      FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE |
      FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY | FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY |
      FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED;
  std::uint32_t taken = 0;
  for (const Row& row : rows) {
    for (const flagos_dtype_t dtype : dtypes) {
      for (flagos_collective_reduction_t reduction = 0;
           reduction <=
           (reduces(row.operation) ? FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM : 0);
           ++reduction) {
        t.subcase(std::string(row.name) + ", dtype " + std::to_string(dtype) + ", reduction " +
                  std::to_string(reduction));
        const std::uint32_t flags = support_of(t, row.operation, dtype, reduction);
        t.equal(flags & ~known, 0, "unknown flags");
        const bool runs = (flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0;
        t.check(runs || flags == 0, "without RUNS the other bits are 0");
        ranks.source(0).write(values_of(0, 8, dtype));
        Desc desc = ranks.desc(0, dtype, 8);
        desc.reduction = reduction;
        desc.scale = reduction == FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM ? 1 : 0;
        if (row.operation == FLAGOS_COLLECTIVE_OPERATION_BROADCAST)
          ranks.target(0).write(values_of(0, 8, dtype));
        t.status(row.function(ranks.communicator(0), ranks.stream(0), &desc),
                 runs ? FLAGOS_STATUS_OK : FLAGOS_STATUS_UNSUPPORTED, "the call itself");
        ranks.stream(0).synchronize();
        if (!runs) continue;
        t.equal_bytes(ranks.target(0).read(0, 8 * width_of(dtype)), values_of(0, 8, dtype),
                      "of one rank, what it gave");
        ++taken;
      }
    }
  }
  t.subcase("in all");
  t.check(taken > 0, "a device with collectives takes some");
}

FLAGOS_CASE("coll.signed_order",
            (options_of("FLAGOS_COLLECTIVE_REDUCTION_MIN and MAX of negative numbers"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, int32,
                    FLAGOS_COLLECTIVE_REDUCTION_MIN);
  Ranks ranks(t, 3);
  const std::vector<std::int32_t> given[3] = {
      {-1, 5, std::numeric_limits<std::int32_t>::min(), -7, 0, -5},
      {1, -5, 3, -8, -1, -2},
      {0, 4, std::numeric_limits<std::int32_t>::max(), -9, -2, -1}};
  const auto bytes_of = [](const std::vector<std::int32_t>& values) {
    std::vector<std::uint8_t> bytes(4 * values.size());
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  };
  const auto run = [&](flagos_collective_operation_t operation, Function function,
                       flagos_collective_reduction_t reduction,
                       const std::vector<std::int32_t>& wanted) {
    if (!takes(t, operation, int32, reduction)) return;
    t.subcase("operation " + std::to_string(operation) + ", reduction " +
              std::to_string(reduction));
    const bool scatters = operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER;
    auto descs = ranks.descs(int32, scatters ? 2 : 6);
    for (std::uint32_t i = 0; i < 3; ++i) {
      ranks.source(i).write(bytes_of(given[i]));
      descs[i].reduction = reduction;
    }
    ranks.run(function, descs);
    if (scatters) {
      for (std::uint32_t i = 0; i < 3; ++i)
        t.equal_bytes(ranks.target(i).read(0, 8), bytes_of({wanted[2 * i], wanted[2 * i + 1]}),
                      "the block of a rank");
    } else {
      t.equal_bytes(ranks.target(0).read(0, 24), bytes_of(wanted), "the result");
    }
  };
  const std::vector<std::int32_t> least = {-1, -5, std::numeric_limits<std::int32_t>::min(),
                                           -9, -2, -5};
  const std::vector<std::int32_t> most = {1,  5, std::numeric_limits<std::int32_t>::max(),
                                          -7, 0, -1};
  for (const Row& row : {rows[0], rows[1], rows[2]}) {
    run(row.operation, row.function, FLAGOS_COLLECTIVE_REDUCTION_MIN, least);
    run(row.operation, row.function, FLAGOS_COLLECTIVE_REDUCTION_MAX, most);
    // Rounded towards 0; the sum of the third numbers is 2.
    run(row.operation, row.function, FLAGOS_COLLECTIVE_REDUCTION_AVERAGE, {0, 1, 0, -8, -1, -2});
  }
}

FLAGOS_CASE("coll.premul.every_reduction",
            (options_of("FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM"))) {
  constexpr auto scaled = FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM;
  constexpr auto dtype = FLAGOS_DTYPE_FLOAT32;
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, dtype, scaled);
  Ranks ranks(t, 2);
  for (const Row& row : {rows[0], rows[1], rows[2]}) {
    if (!takes(t, row.operation, dtype, scaled)) continue;
    t.subcase(row.name);
    auto descs =
        ranks.descs(dtype, row.operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER ? 1 : 2);
    for (std::uint32_t i = 0; i < 2; ++i) {
      ranks.source(i).write(encoded({2, 4}, dtype));
      descs[i].reduction = scaled;
      descs[i].scale = 3 + i;  // another one on each rank
    }
    ranks.run(row.function, descs);
    t.equal_bytes(ranks.target(0).read(0, 4), encoded({3 * 2 + 4 * 2}, dtype), "the sum");
  }
}

FLAGOS_CASE("coll.async.every_operation",
            (options_of("FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY: of every operation",
                        Oracle::live, Isolation::own))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  Ranks ranks(t, 2);
  bool any = false;
  for (const Row& row : rows) {
    if ((support_of(t, row.operation, int32) & FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY) == 0)
      continue;
    any = true;
    t.subcase(row.name);
    for (std::uint32_t i = 0; i < 2; ++i) {
      ranks.source(i).write(encoded({7, 7}, int32));
      ranks.target(i).write(encoded({7, 7}, int32));
    }
    const auto descs = ranks.descs(int32, 1);
    for (std::uint32_t i = 0; i < 2; ++i) {
      t.ok(row.function(ranks.communicator(i), ranks.stream(i), &descs[i]), "a call");
      // What the root only gives away it may have done already.
      if (i == 0 && !reduces(row.operation)) continue;
      if (i == 0) t.check(!stream_done(t, ranks.stream(0)), "it waits for the other rank");
    }
    for (std::uint32_t i = 0; i < 2; ++i) ranks.stream(i).synchronize();
    const std::uint32_t wanted = reduces(row.operation) ? 14 : 7;
    t.equal_bytes(ranks.target(0).read(0, 4), encoded({wanted}, int32), "the result on rank 0");
  }
  if (!any) t.not_supported("a call may wait for the other ranks");
}

FLAGOS_CASE("coll.split.many", (options_of("flagos_communicator_split: again and again",
                                           Oracle::exact, Isolation::own))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, int32);
  Ranks ranks(t, 3);
  for (std::int32_t round = 0; round < 8; ++round) {
    t.subcase("round " + std::to_string(round));
    split_and_sum(t, ranks, round);
  }
}

FLAGOS_CASE("leak.comm",
            (options_of("flagos_communicator_destroy of a part", Oracle::delta, Isolation::own))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, int32);
  Ranks ranks(t, 3);
  std::int32_t round = 0;
  expect_no_growth(t, {.cycles = 200, .quick_cycles = 100, .device_memory = false},
                   [&](std::uint64_t) { split_and_sum(t, ranks, round++); });
}

FLAGOS_CASE("coll.fault.abort_many",
            (options_of("flagos_communicator_abort: of this communicator and no other",
                        Oracle::code, Isolation::own))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, int32);
  Ranks healthy(t, 2);
  for (int round = 0; round < 8; ++round) {
    t.subcase("round " + std::to_string(round));
    Ranks ranks(t, 1);
    const flagos_status_t aborted = flagos_communicator_abort(ranks.communicator(0));
    if (aborted == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin does not abort");
    t.ok(aborted, "abort");
    const Desc desc = ranks.desc(0, int32, 8);
    t.status(flagos_collective_all_reduce(ranks.communicator(0), ranks.stream(0), &desc),
             FLAGOS_STATUS_COMM_ABORTED, "no more operations");
    t.check(std::string(flagos_last_error()).find("abort") != std::string::npos,
            "the text says why, and is: " + std::string(flagos_last_error()));
    flagos_status_t found = FLAGOS_STATUS_OK;
    t.ok(flagos_communicator_query_error(ranks.communicator(0), &found), "ask the aborted one");
    t.equal(static_cast<std::uint64_t>(found), FLAGOS_STATUS_COMM_ABORTED, "it is aborted");
    for (std::uint32_t i = 0; i < 2; ++i) {
      t.ok(flagos_communicator_query_error(healthy.communicator(i), &found), "ask another one");
      t.equal(static_cast<std::uint64_t>(found), FLAGOS_STATUS_OK, "it is well");
      healthy.source(i).write(values_of(i, 8, int32));
    }
    healthy.run(flagos_collective_all_reduce, healthy.descs(int32, 8));
    t.equal_bytes(healthy.target(1).read(0, 32), reduced_values(2, 0, 8, int32, 0), "its sum");
  }
}

}  // namespace flagos::conformance
