// Native collectives: joining, and what each operation gives; ranks are threads of this process.
#include <cstring>

#include "conformance/cases/coll_support.hpp"

namespace flagos::conformance {

using namespace coll;

namespace {

// Reductions of every dtype and reduction that the plugin takes; `check` looks at the result.
void reduction_matrix(
    Context& t, flagos_collective_operation_t operation,
    const std::function<void(Ranks&, flagos_dtype_t, flagos_collective_reduction_t, std::uint64_t)>&
        check) {
  require_operation(t, operation, FLAGOS_DTYPE_FLOAT32, FLAGOS_COLLECTIVE_REDUCTION_SUM);
  for (const std::uint32_t size : {2u, 3u}) {
    Ranks ranks(t, size, 3 * 8 * 8192);
    for (const flagos_dtype_t dtype : dtypes) {
      for (flagos_collective_reduction_t reduction = 0;
           reduction <= FLAGOS_COLLECTIVE_REDUCTION_MAX; ++reduction) {
        if ((support_of(t, operation, dtype, reduction) & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) == 0)
          continue;
        for (const std::uint64_t count : counts_of(t)) {
          t.subcase(std::to_string(size) + " ranks, dtype " + std::to_string(dtype) +
                    ", reduction " + std::to_string(reduction) + ", count " +
                    std::to_string(count));
          check(ranks, dtype, reduction, count);
        }
      }
    }
  }
}

// What only moves: `fill` and `check` say what each rank has and gets, in blocks of `count` bytes.
void move_matrix(Context& t, flagos_collective_operation_t operation, Function function,
                 bool is_rooted,
                 const std::function<void(Ranks&, std::uint32_t, std::uint64_t)>& fill,
                 const std::function<void(Ranks&, std::uint32_t, std::uint64_t)>& check) {
  require_operation(t, operation);
  for (const std::uint32_t size : {2u, 3u}) {
    Ranks ranks(t, size, 3 * 8192);
    for (const std::uint64_t count : counts_of(t)) {
      for (std::uint32_t root = 0; root < (is_rooted ? size : 1); ++root) {
        t.subcase(std::to_string(size) + " ranks, " + std::to_string(count) + " bytes, root " +
                  std::to_string(root));
        std::vector<Desc> descs;
        for (std::uint32_t i = 0; i < size; ++i) {
          descs.push_back(ranks.desc(i, FLAGOS_DTYPE_UINT8, count));
          descs.back().peer = is_rooted ? root : 0;
          const std::vector<std::uint8_t> old(size * count, 0xee);
          ranks.target(i).write(old);
        }
        fill(ranks, root, count);
        ranks.run(function, descs);
        check(ranks, root, count);
      }
    }
  }
}

}  // namespace

FLAGOS_CASE("coll.init.unique_id", (options_of("flagos_collective_id_create", Oracle::code))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  const flagos_collective_id_t a = make_id(t), b = make_id(t);
  t.check(a.size_bytes != b.size_bytes || std::memcmp(a.bytes, b.bytes, a.size_bytes) != 0,
          "two ids differ");
}

FLAGOS_CASE("coll.init.ranks", (options_of("flagos_communicator_create"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_INT32);
  for (const std::uint32_t size : {1u, 2u, 3u, 4u, 7u, 8u}) {
    t.subcase(std::to_string(size) + " ranks");
    Ranks ranks(t, size);
    std::vector<Desc> descs;
    for (std::uint32_t i = 0; i < size; ++i) {
      flagos_communicator_info_t info{};
      info.struct_size = sizeof info;
      t.ok(flagos_communicator_get_info(ranks.communicator(i), &info), "describe it");
      t.equal(info.rank, i, "its rank");
      t.equal(info.size, size, "its size");
      ranks.source(i).write(values_of(i, 100, FLAGOS_DTYPE_INT32));
      descs.push_back(ranks.desc(i, FLAGOS_DTYPE_INT32, 100));
    }
    ranks.run(flagos_collective_all_reduce, descs);
    const auto wanted = reduced_values(size, 0, 100, FLAGOS_DTYPE_INT32, 0);
    for (std::uint32_t i = 0; i < size; ++i)
      t.equal_bytes(ranks.target(i).read(0, wanted.size()), wanted, "the sum on a rank");
  }
}

FLAGOS_CASE("coll.init.missing_rank_timeout",
            (options_of("flagos_communicator_create: COMM_TIMEOUT", Oracle::code,
                        Isolation::own))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  flagos_communicator_t* made = nullptr;
  t.status(join(t.device(), make_id(t), 0, 2, soon_ns, &made), FLAGOS_STATUS_COMM_TIMEOUT,
           "join where the other rank never comes");
  t.check(made == nullptr, "the out parameter is cleared");
}

FLAGOS_CASE("coll.init.duplicate_rank", (options_of("flagos_communicator_create: INVALID_ARGUMENT",
                                                    Oracle::code, Isolation::own))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  const flagos_collective_id_t id = make_id(t);
  flagos_communicator_t* made[2] = {};
  flagos_status_t statuses[2] = {};
  flagos_device_t* const device = t.device();
  in_threads(2, [&](std::uint32_t i) { statuses[i] = join(device, id, 0, 2, late_ns, &made[i]); });
  for (const flagos_status_t status : statuses)
    t.status(status, FLAGOS_STATUS_INVALID_ARGUMENT, "join as rank 0, twice");
}

FLAGOS_CASE("coll.split", (options_of("flagos_communicator_split"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_INT32);
  Ranks ranks(t, 3);
  flagos_communicator_t* parts[3] = {};
  flagos_status_t statuses[3] = {};
  // Ranks 2 and 0 together, in this order; rank 1 in none.
  in_threads(3, [&](std::uint32_t i) {
    statuses[i] = flagos_communicator_split(ranks.communicator(i),
                                            i == 1 ? FLAGOS_COMMUNICATOR_COLOR_NONE : 4,
                                            -static_cast<int>(i), &parts[i]);
  });
  if (statuses[0] == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin does not split");
  for (const flagos_status_t status : statuses) t.ok(status, "split");
  t.check(parts[1] == nullptr, "no color, no communicator");
  flagos_communicator_info_t info{};
  info.struct_size = sizeof info;
  for (const std::uint32_t i : {0u, 2u}) {
    t.ok(flagos_communicator_get_info(parts[i], &info), "describe a part");
    t.equal(info.size, 2, "the part has two ranks");
    t.equal(info.rank, i == 2 ? 0 : 1, "its rank follows the key");
    std::swap(parts[i], ranks.communicator(i));
    ranks.source(i).write(values_of(i, 8, FLAGOS_DTYPE_INT32));
  }
  in_threads(3, [&](std::uint32_t i) {
    const Desc desc = ranks.desc(i, FLAGOS_DTYPE_INT32, 8);
    if (i != 1)
      statuses[i] = flagos_collective_all_reduce(ranks.communicator(i), ranks.stream(i), &desc);
  });
  std::vector<std::uint8_t> wanted(32);
  for (std::uint64_t k = 0; k < 8; ++k)
    encode(value_of(0, k) + value_of(2, k), FLAGOS_DTYPE_INT32, wanted.data() + 4 * k);
  for (const std::uint32_t i : {0u, 2u}) {
    t.ok(statuses[i], "all_reduce in the part");
    ranks.stream(i).synchronize();
    t.equal_bytes(ranks.target(i).read(0, 32), wanted, "the sum of the part");
    t.ok(flagos_communicator_destroy(parts[i]), "destroy the whole first");
  }
}

FLAGOS_CASE("coll.allreduce.matrix", (options_of("flagos_collective_all_reduce"))) {
  reduction_matrix(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE,
                   [&](Ranks& ranks, flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                       std::uint64_t count) {
                     const auto wanted = reduced_values(ranks.size(), 0, count, dtype, reduction);
                     for (const bool in_place : {false, true}) {
                       std::vector<Desc> descs;
                       for (std::uint32_t i = 0; i < ranks.size(); ++i) {
                         ranks.source(i).write(values_of(i, count, dtype));
                         descs.push_back(ranks.desc(i, dtype, count));
                         descs.back().reduction = reduction;
                         if (in_place) descs.back().target = descs.back().source;
                       }
                       ranks.run(flagos_collective_all_reduce, descs);
                       for (std::uint32_t i = 0; i < ranks.size(); ++i)
                         t.equal_bytes(
                             (in_place ? ranks.source(i) : ranks.target(i)).read(0, wanted.size()),
                             wanted, in_place ? "the result in place" : "the result");
                     }
                   });
}

FLAGOS_CASE("coll.reduce.matrix", (options_of("flagos_collective_reduce"))) {
  reduction_matrix(t, FLAGOS_COLLECTIVE_OPERATION_REDUCE,
                   [&](Ranks& ranks, flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                       std::uint64_t count) {
                     const std::uint32_t root = static_cast<std::uint32_t>(count) % ranks.size();
                     const auto wanted = reduced_values(ranks.size(), 0, count, dtype, reduction);
                     std::vector<Desc> descs;
                     for (std::uint32_t i = 0; i < ranks.size(); ++i) {
                       ranks.source(i).write(values_of(i, count, dtype));
                       descs.push_back(ranks.desc(i, dtype, count));
                       descs.back().reduction = reduction;
                       descs.back().peer = root;
                       if (i != root) descs.back().target = 0;
                     }
                     ranks.run(flagos_collective_reduce, descs);
                     t.equal_bytes(ranks.target(root).read(0, wanted.size()), wanted,
                                   "the result on the root");
                   });
}

FLAGOS_CASE("coll.reducescatter.matrix", (options_of("flagos_collective_reduce_scatter"))) {
  reduction_matrix(
      t, FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER,
      [&](Ranks& ranks, flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
          std::uint64_t count) {
        std::vector<Desc> descs;
        for (std::uint32_t i = 0; i < ranks.size(); ++i) {
          ranks.source(i).write(values_of(i, ranks.size() * count, dtype));
          descs.push_back(ranks.desc(i, dtype, count));
          descs.back().reduction = reduction;
        }
        ranks.run(flagos_collective_reduce_scatter, descs);
        for (std::uint32_t i = 0; i < ranks.size(); ++i) {
          const auto wanted = reduced_values(ranks.size(), i * count, count, dtype, reduction);
          t.equal_bytes(ranks.target(i).read(0, wanted.size()), wanted, "block of a rank");
        }
      });
}

FLAGOS_CASE("coll.broadcast.matrix", (options_of("flagos_collective_broadcast"))) {
  move_matrix(
      t, FLAGOS_COLLECTIVE_OPERATION_BROADCAST, flagos_collective_broadcast, true,
      [](Ranks& ranks, std::uint32_t root, std::uint64_t count) {
        ranks.target(root).write(tagged(root, 0, count));
      },
      [&](Ranks& ranks, std::uint32_t root, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i)
          t.equal_bytes(ranks.target(i).read(0, count), tagged(root, 0, count),
                        "what the root has");
      });
}

FLAGOS_CASE("coll.allgather.matrix", (options_of("flagos_collective_all_gather"))) {
  move_matrix(
      t, FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, flagos_collective_all_gather, false,
      [](Ranks& ranks, std::uint32_t, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i) ranks.source(i).write(tagged(i, 0, count));
      },
      [&](Ranks& ranks, std::uint32_t, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i)
          for (std::uint32_t from = 0; from < ranks.size(); ++from)
            t.equal_bytes(ranks.target(i).read(from * count, count), tagged(from, 0, count),
                          "the block of rank " + std::to_string(from));
      });
}

FLAGOS_CASE("coll.alltoall.matrix", (options_of("flagos_collective_all_to_all"))) {
  move_matrix(
      t, FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, flagos_collective_all_to_all, false,
      [](Ranks& ranks, std::uint32_t, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i)
          for (std::uint32_t to = 0; to < ranks.size(); ++to)
            ranks.source(i).write(tagged(i, to, count), to * count);
      },
      [&](Ranks& ranks, std::uint32_t, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i)
          for (std::uint32_t from = 0; from < ranks.size(); ++from)
            t.equal_bytes(ranks.target(i).read(from * count, count), tagged(from, i, count),
                          "the block from rank " + std::to_string(from));
      });
}

FLAGOS_CASE("coll.gather_scatter", (options_of("flagos_collective_gather and scatter"))) {
  move_matrix(
      t, FLAGOS_COLLECTIVE_OPERATION_GATHER, flagos_collective_gather, true,
      [](Ranks& ranks, std::uint32_t, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i) ranks.source(i).write(tagged(i, 0, count));
      },
      [&](Ranks& ranks, std::uint32_t root, std::uint64_t count) {
        for (std::uint32_t from = 0; from < ranks.size(); ++from)
          t.equal_bytes(ranks.target(root).read(from * count, count), tagged(from, 0, count),
                        "gathered from rank " + std::to_string(from));
        const std::uint32_t other = (root + 1) % ranks.size();
        t.equal_bytes(ranks.target(other).read(0, count), std::vector<std::uint8_t>(count, 0xee),
                      "another rank's target is untouched");
      });
  move_matrix(
      t, FLAGOS_COLLECTIVE_OPERATION_SCATTER, flagos_collective_scatter, true,
      [](Ranks& ranks, std::uint32_t root, std::uint64_t count) {
        for (std::uint32_t to = 0; to < ranks.size(); ++to)
          ranks.source(root).write(tagged(root, to, count), to * count);
      },
      [&](Ranks& ranks, std::uint32_t root, std::uint64_t count) {
        for (std::uint32_t i = 0; i < ranks.size(); ++i)
          t.equal_bytes(ranks.target(i).read(0, count), tagged(root, i, count),
                        "scattered to a rank");
      });
}

FLAGOS_CASE("coll.sendrecv.grouped", (options_of("flagos_collective_group_begin and end"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_SEND);
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_RECEIVE);
  Ranks ranks(t, 3);
  constexpr std::uint64_t count = 10'000;
  // Everybody sends to everybody, to itself too, at once.
  std::vector<flagos_status_t> statuses(3);
  for (std::uint32_t i = 0; i < 3; ++i)
    for (std::uint32_t to = 0; to < 3; ++to)
      ranks.source(i).write(tagged(i, to, count), to * count);
  in_threads(3, [&](std::uint32_t i) {
    flagos_collective_group_begin();
    for (std::uint32_t peer = 0; peer < 3; ++peer) {
      Desc desc = ranks.desc(i, FLAGOS_DTYPE_UINT8, count);
      desc.peer = peer;
      desc.source += peer * count;
      desc.target += peer * count;
      flagos_collective_send(ranks.communicator(i), ranks.stream(i), &desc);
      flagos_collective_receive(ranks.communicator(i), ranks.stream(i), &desc);
    }
    statuses[i] = flagos_collective_group_end();
  });
  if (statuses[0] == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin has no groups");
  for (std::uint32_t i = 0; i < 3; ++i) {
    t.ok(statuses[i], "a group of sends and receives");
    ranks.stream(i).synchronize();
    for (std::uint32_t from = 0; from < 3; ++from)
      t.equal_bytes(ranks.target(i).read(from * count, count), tagged(from, i, count),
                    "what rank " + std::to_string(from) + " sent");
  }
}

FLAGOS_CASE("coll.many_inflight", (options_of("native collectives: Order", Oracle::model))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_UINT32);
  Ranks ranks(t, 2);
  const int calls = t.settings().quick ? 100 : 1000;
  std::vector<Desc> descs;
  for (std::uint32_t i = 0; i < 2; ++i) {
    std::vector<std::uint8_t> one(8, 0x5a);  // and a word that is left alone
    encode(1, FLAGOS_DTYPE_UINT32, one.data());
    ranks.source(i).write(one);
    descs.push_back(ranks.desc(i, FLAGOS_DTYPE_UINT32, 1));
    descs.back().target = descs.back().source;
  }
  std::vector<int> done(2);
  in_threads(2, [&](std::uint32_t i) {
    for (int k = 0; k < calls; ++k)
      done[i] += flagos_collective_all_reduce(ranks.communicator(i), ranks.stream(i), &descs[i]) ==
                 FLAGOS_STATUS_OK;
  });
  // 1 doubles with every call, until it wraps around to 0 after 32.
  for (std::uint32_t i = 0; i < 2; ++i) {
    t.equal(static_cast<std::uint64_t>(done[i]), static_cast<std::uint64_t>(calls), "calls queued");
    ranks.stream(i).synchronize();
    t.equal_bytes(ranks.source(i).read(0, 8),
                  std::vector<std::uint8_t>{0, 0, 0, 0, 0x5a, 0x5a, 0x5a, 0x5a},
                  "2 to the many, and the word behind it");
  }
}

FLAGOS_CASE("coll.graph_capture", (options_of("FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE"))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_UINT32);
  if ((support_of(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_UINT32, 0) &
       FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE) == 0)
    t.not_supported("operations cannot be captured");
  t.require(FLAGOS_FEATURE_CAPTURE);
  Ranks ranks(t, 2);
  flagos_graph_exec_t* execs[2] = {};
  for (std::uint32_t i = 0; i < 2; ++i) {
    std::vector<std::uint8_t> one(4);
    encode(1, FLAGOS_DTYPE_UINT32, one.data());
    ranks.source(i).write(one);
    Desc desc = ranks.desc(i, FLAGOS_DTYPE_UINT32, 1);
    desc.target = desc.source;
    flagos_graph_t* graph = nullptr;
    t.ok(flagos_stream_begin_capture(ranks.stream(i)), "begin a capture");
    t.ok(flagos_collective_all_reduce(ranks.communicator(i), ranks.stream(i), &desc), "capture");
    t.ok(flagos_stream_end_capture(ranks.stream(i), &graph), "end the capture");
    t.ok(flagos_graph_instantiate(graph, &execs[i]), "instantiate");
    t.ok(flagos_graph_destroy(graph), "destroy the graph");
  }
  std::vector<std::uint8_t> wanted(4);
  constexpr std::uint32_t replays = 20;
  encode(1u << replays, FLAGOS_DTYPE_UINT32, wanted.data());
  std::vector<int> done(2);
  in_threads(2, [&](std::uint32_t i) {
    for (std::uint32_t k = 0; k < replays; ++k)
      done[i] += flagos_graph_exec_launch(execs[i], ranks.stream(i)) == FLAGOS_STATUS_OK;
  });
  for (std::uint32_t i = 0; i < 2; ++i) {
    t.equal(static_cast<std::uint64_t>(done[i]), replays, "launches");
    ranks.stream(i).synchronize();
    t.equal_bytes(ranks.source(i).read(0, 4), wanted, "doubled by each replay");
    t.ok(flagos_graph_exec_destroy(execs[i]), "destroy the executable");
  }
}

FLAGOS_CASE("coll.fault.abort",
            (options_of("flagos_communicator_abort", Oracle::code, Isolation::own))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_UINT32);
  if ((support_of(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_UINT32, 0) &
       FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY) == 0)
    t.not_supported("a call may wait for the other ranks");
  Ranks ranks(t, 2);
  const Desc desc = ranks.desc(0, FLAGOS_DTYPE_UINT32, 8);
  t.ok(flagos_collective_all_reduce(ranks.communicator(0), ranks.stream(0), &desc),
       "queue what the other rank never does");
  t.status(flagos_stream_synchronize(ranks.stream(0), 50'000'000), FLAGOS_STATUS_TIMEOUT,
           "it waits for the other rank");
  const flagos_status_t aborted = flagos_communicator_abort(ranks.communicator(0));
  if (aborted == FLAGOS_STATUS_UNSUPPORTED) {
    flagos_collective_all_reduce(ranks.communicator(1), ranks.stream(1), &desc);
    t.not_supported("the plugin does not abort");
  }
  t.ok(aborted, "abort");
  t.ok(flagos_communicator_abort(ranks.communicator(0)), "abort again");
  t.status(flagos_stream_synchronize(ranks.stream(0), 5'000'000'000), FLAGOS_STATUS_COMM_ABORTED,
           "the stream is let go");
  flagos_status_t found = FLAGOS_STATUS_OK;
  t.ok(flagos_communicator_query_error(ranks.communicator(0), &found), "ask what became of it");
  t.equal(static_cast<std::uint64_t>(found), FLAGOS_STATUS_COMM_ABORTED, "aborted");
  t.status(flagos_collective_all_reduce(ranks.communicator(0), ranks.stream(0), &desc),
           FLAGOS_STATUS_COMM_ABORTED, "no more operations");
  t.ok(flagos_stream_reset(ranks.stream(0)), "the stream goes on after a reset");
}

}  // namespace flagos::conformance
