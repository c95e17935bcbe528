// When native collectives run, and what their communicators belong to: streams, groups, other communicators, ends.
#include <atomic>
#include <cstring>

#include "conformance/cases/coll_support.hpp"
#include "conformance/cases/growth.hpp"

namespace flagos::conformance {

using namespace coll;

namespace {

constexpr auto all_reduce = FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE;
constexpr auto int32 = FLAGOS_DTYPE_INT32;

void require_queues_only(Context& t) {
  require_operation(t, all_reduce, int32);
  if ((support_of(t, all_reduce, int32) & FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY) == 0)
    t.not_supported("a call may wait for the other ranks");
}

void fill(Ranks& ranks, std::uint64_t count) {
  for (std::uint32_t i = 0; i < ranks.size(); ++i)
    ranks.source(i).write(values_of(i, count, int32));
}

void check_sums(Context& t, Ranks& ranks, std::uint64_t count) {
  const auto wanted = reduced_values(ranks.size(), 0, count, int32, 0);
  for (std::uint32_t i = 0; i < ranks.size(); ++i)
    t.equal_bytes(ranks.target(i).read(0, wanted.size()), wanted,
                  "the sum on rank " + std::to_string(i));
}

// A sum over all ranks that must come out right.
void sum_works(Context& t, Ranks& ranks) {
  fill(ranks, 16);
  ranks.run(flagos_collective_all_reduce, ranks.descs(int32, 16));
  check_sums(t, ranks, 16);
}

flagos_status_t sum_of(Ranks& ranks, std::uint32_t i, std::uint64_t count) {
  const Desc desc = ranks.desc(i, int32, count);
  return flagos_collective_all_reduce(ranks.communicator(i), ranks.stream(i), &desc);
}

}  // namespace

FLAGOS_CASE("coll.init.bad_rank",
            (options_of("flagos_communicator_create: INVALID_ARGUMENT", Oracle::code))) {
  require_operation(t, all_reduce, int32);
  flagos_communicator_t* made = nullptr;
  for (const auto& [rank, size] : {std::pair{2u, 2u}, {~0u, 2u}, {0u, 0u}, {1u, 1u}}) {
    t.subcase("rank " + std::to_string(rank) + " of " + std::to_string(size));
    t.status(join(t.device(), make_id(t), rank, size, soon_ns, &made),
             FLAGOS_STATUS_INVALID_ARGUMENT, "join");
    t.check(made == nullptr, "the out parameter is cleared");
  }
  Ranks ranks(t, 2);
  sum_works(t, ranks);
}

FLAGOS_CASE("coll.init.size_mismatch",
            (options_of("flagos_communicator_create: ranks that disagree on size", Oracle::code,
                        Isolation::own))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  const flagos_collective_id_t id = make_id(t);
  flagos_communicator_t* made[2] = {};
  flagos_status_t statuses[2] = {};
  flagos_device_t* const device = t.device();
  in_threads(2,
             [&](std::uint32_t i) { statuses[i] = join(device, id, i, 2 + i, late_ns, &made[i]); });
  for (std::uint32_t i = 0; i < 2; ++i) {
    t.status(statuses[i], FLAGOS_STATUS_INVALID_ARGUMENT, "join as one of two, and of three");
    t.check(made[i] == nullptr, "the out parameter is cleared");
  }
}

FLAGOS_CASE("coll.init.foreign_id", (options_of("flagos_communicator_create: COMM_REFUSED",
                                                Oracle::code, Isolation::own))) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  flagos_communicator_t* made = nullptr;
  flagos_collective_id_t id = make_id(t);
  // Another id of the right size, which no run with the same seed guesses too: who has it waits alone, or is turned away.
  for (std::uint32_t i = 0; i < id.size_bytes; ++i)
    id.bytes[i] ^= static_cast<std::uint8_t>(1 + t.random_below(255));
  const flagos_status_t guessed = join(t.device(), id, 1, 2, soon_ns, &made);
  t.check(guessed == FLAGOS_STATUS_COMM_REFUSED || guessed == FLAGOS_STATUS_COMM_TIMEOUT,
          "a guessed id joins nothing, the status is " + std::to_string(guessed));
  t.check(made == nullptr, "the out parameter is cleared");
  for (const std::uint32_t size : {0u, 1u, static_cast<std::uint32_t>(sizeof id.bytes) + 1}) {
    t.subcase("an id of " + std::to_string(size) + " bytes");
    id.size_bytes = size;
    t.status(join(t.device(), id, 0, 1, soon_ns, &made), FLAGOS_STATUS_COMM_REFUSED, "join");
  }
}

FLAGOS_CASE("coll.init.id_serves_once",
            (options_of("flagos_communicator_desc_t.id: serves for one communicator", Oracle::code,
                        Isolation::own))) {
  require_operation(t, all_reduce, int32);
  const flagos_collective_id_t id = make_id(t);
  flagos_communicator_t *first = nullptr, *second = nullptr;
  t.ok(join(t.device(), id, 0, 1, late_ns, &first), "join alone");
  const flagos_status_t again = join(t.device(), id, 1, 2, soon_ns, &second);
  t.check(FLAGOS_STATUS_CLASS(again) == FLAGOS_STATUS_CLASS_COMM,
          "who comes later does not join, the status is " + std::to_string(again));
  t.check(second == nullptr, "the out parameter is cleared");
  t.ok(flagos_communicator_destroy(first), "destroy");
  Ranks ranks(t, 2);
  sum_works(t, ranks);
}

FLAGOS_CASE("coll.init.concurrent_comms",
            (options_of("flagos_communicator_create: threads", Oracle::exact, Isolation::own))) {
  require_operation(t, all_reduce, int32);
  constexpr std::uint32_t communicators = 8;
  flagos_device_t* const device = t.device();
  std::vector<flagos_collective_id_t> ids;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Words>> words;
  for (std::uint32_t i = 0; i < 2 * communicators; ++i) {
    if (i % 2 == 0) ids.push_back(make_id(t));
    streams.push_back(std::make_unique<Stream>(t));
    words.push_back(std::make_unique<Words>(t, 1, i + 1));
  }
  std::vector<flagos_communicator_t*> all(2 * communicators);
  FirstFailure failure;
  in_threads(2 * communicators, [&](std::uint32_t i) {
    failure.note(join(device, ids[i / 2], i % 2, 2, late_ns, &all[i]));
    Desc desc{};
    desc.struct_size = sizeof desc;
    desc.dtype = FLAGOS_DTYPE_UINT32;
    desc.count = 1;
    desc.source = desc.target = words[i]->at();
    failure.note(flagos_collective_all_reduce(all[i], *streams[i], &desc));
    failure.note(flagos_stream_synchronize(*streams[i], patience_ns));
    failure.note(flagos_communicator_destroy(all[i]));
  });
  if (failure.status() == FLAGOS_STATUS_UNSUPPORTED)
    t.resource("the plugin wants a device for each rank");
  t.ok(failure.status(), "eight communicators at once");
  for (std::uint32_t i = 0; i < 2 * communicators; ++i)
    t.equal(words[i]->first(), i / 2 * 4 + 3, "the sum of communicator " + std::to_string(i / 2));
}

FLAGOS_CASE("coll.init.reinit_100", (options_of("flagos_communicator_destroy: nothing stays",
                                                Oracle::delta, Isolation::own))) {
  require_operation(t, all_reduce, int32);
  expect_no_growth(t, {.cycles = 100, .quick_cycles = 20, .device_memory = false},
                   [&](std::uint64_t) {
                     Ranks ranks(t, 2, 256);
                     sum_works(t, ranks);
                   });
}

FLAGOS_CASE("coll.group.nested", (options_of("flagos_collective_group_begin: groups nest"))) {
  require_operation(t, all_reduce, int32);
  Ranks ranks(t, 2);
  t.status(flagos_collective_group_end(), FLAGOS_STATUS_NOT_PERMITTED, "end of no group");
  fill(ranks, 100);
  std::vector<flagos_status_t> inner(2), outer(2);
  // One thread makes the calls of both ranks: without a group it might wait for itself.
  in_threads(1, [&](std::uint32_t) {
    flagos_collective_group_begin();
    flagos_collective_group_begin();
    sum_of(ranks, 0, 100);
    inner[0] = flagos_collective_group_end();
    sum_of(ranks, 1, 100);
    outer[0] = flagos_collective_group_end();
  });
  if (outer[0] == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin has no groups");
  t.ok(inner[0], "end of the inner group");
  t.ok(outer[0], "end of the outer group");
  for (std::uint32_t i = 0; i < 2; ++i) ranks.stream(i).synchronize();
  check_sums(t, ranks, 100);
}

FLAGOS_CASE("coll.group.failure",
            (options_of("flagos_collective_group_end: the first failure, and nothing is queued"))) {
  require_operation(t, all_reduce, int32);
  Ranks ranks(t, 2);
  fill(ranks, 100);
  for (std::uint32_t i = 0; i < 2; ++i) ranks.target(i).write(std::vector<std::uint8_t>(400, 0xee));
  t.ok(flagos_collective_group_begin(), "begin");
  sum_of(ranks, 0, 100);
  Desc wrong = ranks.desc(1, int32, 100);
  wrong.reduction = 1000;
  flagos_collective_all_reduce(ranks.communicator(1), ranks.stream(1), &wrong);
  sum_of(ranks, 1, 100);
  t.status(flagos_collective_group_end(), FLAGOS_STATUS_INVALID_ARGUMENT,
           "end of a group with a wrong call");
  for (std::uint32_t i = 0; i < 2; ++i) {
    ranks.stream(i).synchronize();
    t.equal_bytes(ranks.target(i).read(0, 400), std::vector<std::uint8_t>(400, 0xee),
                  "nothing was written");
  }
  t.status(flagos_collective_group_end(), FLAGOS_STATUS_NOT_PERMITTED, "no group is open");
  sum_works(t, ranks);
}

FLAGOS_CASE("coll.stream_order", (options_of("native collectives: Order", Oracle::order))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_UINT32);
  Ranks ranks(t, 2);
  const std::uint32_t rounds = repeats(t, 50, 10);
  Words words(t, 2);
  std::vector<std::unique_ptr<Words>> mine;
  for (std::uint32_t i = 0; i < 2; ++i) mine.push_back(std::make_unique<Words>(t, 64, i + 1));
  // x becomes 3 x + 1 + rank, then the sum of both ranks, and so on: any other order gives another number.
  std::uint32_t wanted[2] = {1, 2};
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (std::uint32_t i = 0; i < 2; ++i) {
      affine(t, ranks.stream(i), *mine[i], 3, 1 + i);
      wanted[i] = wanted[i] * 3 + 1 + i;
    }
    std::vector<Desc> descs;
    for (std::uint32_t i = 0; i < 2; ++i) {
      descs.push_back(ranks.desc(i, FLAGOS_DTYPE_UINT32, 64));
      descs.back().source = descs.back().target = mine[i]->at();
    }
    t.ok(ranks.call(flagos_collective_all_reduce, descs), "all_reduce behind a kernel");
    wanted[0] = wanted[1] = wanted[0] + wanted[1];
  }
  for (std::uint32_t i = 0; i < 2; ++i) {
    ranks.stream(i).synchronize();
    equal_words(t, mine[i]->read(), std::vector<std::uint32_t>(64, wanted[i]),
                "kernels and sums, one after the other");
  }
}

FLAGOS_CASE("coll.two_streams",
            (options_of("native collectives: one operation after the other, on any stream",
                        Oracle::order))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_UINT32);
  Ranks ranks(t, 2);
  std::vector<std::unique_ptr<Stream>> others;
  for (std::uint32_t i = 0; i < 2; ++i) {
    others.push_back(std::make_unique<Stream>(t));
    ranks.source(i).write(encoded({1}, FLAGOS_DTYPE_UINT32));
  }
  constexpr std::uint32_t rounds = 20;
  std::vector<int> done(2);
  in_threads(2, [&](std::uint32_t i) {
    Desc desc = ranks.desc(i, FLAGOS_DTYPE_UINT32, 1);
    desc.target = desc.source;
    for (std::uint32_t round = 0; round < rounds; ++round)
      done[i] += flagos_collective_all_reduce(ranks.communicator(i),
                                              round % 2 == 0 ? ranks.stream(i) : *others[i],
                                              &desc) == FLAGOS_STATUS_OK;
  });
  for (std::uint32_t i = 0; i < 2; ++i) {
    t.equal(static_cast<std::uint64_t>(done[i]), rounds, "calls queued");
    ranks.stream(i).synchronize();
    others[i]->synchronize();
    t.equal_bytes(ranks.source(i).read(0, 4), encoded({1u << rounds}, FLAGOS_DTYPE_UINT32),
                  "doubled by each");
  }
}

FLAGOS_CASE("coll.async_returns_early",
            (options_of("FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY", Oracle::live))) {
  require_queues_only(t);
  Ranks ranks(t, 2);
  fill(ranks, 100);
  for (int i = 0; i < 3; ++i) t.ok(sum_of(ranks, 0, 100), "a call before the other rank's");
  t.check(!stream_done(t, ranks.stream(0)), "it waits for the other rank");
  for (int i = 0; i < 3; ++i) t.ok(sum_of(ranks, 1, 100), "the other rank's call");
  for (std::uint32_t i = 0; i < 2; ++i) ranks.stream(i).synchronize();
  check_sums(t, ranks, 100);
}

FLAGOS_CASE("coll.overlap_compute",
            (options_of("native collectives: other streams go on", Oracle::live))) {
  require_queues_only(t);
  Ranks ranks(t, 2);
  Stream other(t);
  Words words(t, 64, 1);
  fill(ranks, 100);
  t.ok(sum_of(ranks, 0, 100), "a call before the other rank's");
  for (int i = 0; i < 10; ++i) affine(t, other, words, 2, 0);
  other.synchronize();
  equal_words(t, words.read(), std::vector<std::uint32_t>(64, 1024), "work on another stream");
  t.check(!stream_done(t, ranks.stream(0)), "the operation still waits");
  t.ok(sum_of(ranks, 1, 100), "the other rank's call");
  for (std::uint32_t i = 0; i < 2; ++i) ranks.stream(i).synchronize();
  check_sums(t, ranks, 100);
}

// Whatever the ranks call, as long as they call the same.
FLAGOS_CASE("coll.multi_thread_ranks",
            (options_of("native collectives: ranks as threads", Oracle::model, Isolation::own))) {
  require_operation(t, all_reduce, FLAGOS_DTYPE_UINT32);
  constexpr std::uint32_t size = 3, count = 50;
  Ranks ranks(t, size);
  struct Step {
    Function function;
    std::uint32_t root;
  };
  std::vector<Step> program;
  std::vector<std::vector<std::uint32_t>> model(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    model[i] = random_words(t, count);
    std::vector<std::uint8_t> bytes(4 * count);
    std::memcpy(bytes.data(), model[i].data(), bytes.size());
    ranks.source(i).write(bytes);
  }
  const bool has_broadcast = takes(t, FLAGOS_COLLECTIVE_OPERATION_BROADCAST, FLAGOS_DTYPE_UINT32);
  const bool has_reduce = takes(t, FLAGOS_COLLECTIVE_OPERATION_REDUCE, FLAGOS_DTYPE_UINT32);
  for (std::uint32_t n = 0; n < repeats(t, 500, 60); ++n) {
    const std::uint32_t root = static_cast<std::uint32_t>(t.random_below(size));
    const std::uint64_t what = t.random_below(3);
    std::vector<std::uint32_t> sum(count);
    for (std::uint32_t k = 0; k < count; ++k)
      for (const auto& values : model) sum[k] += values[k];
    if (what == 0 && has_broadcast) {
      program.push_back({flagos_collective_broadcast, root});
      for (auto& values : model) values = std::vector<std::uint32_t>(model[root]);
    } else if (what == 1 && has_reduce) {
      program.push_back({flagos_collective_reduce, root});
      model[root] = sum;
    } else {
      program.push_back({flagos_collective_all_reduce, 0});
      for (auto& values : model) values = sum;
    }
  }
  FirstFailure failure;
  in_threads(size, [&](std::uint32_t i) {
    for (const Step& step : program) {
      Desc desc = ranks.desc(i, FLAGOS_DTYPE_UINT32, count);
      desc.target = desc.source;
      desc.peer = step.root;
      failure.note(step.function(ranks.communicator(i), ranks.stream(i), &desc));
    }
    failure.note(flagos_stream_synchronize(ranks.stream(i), patience_ns));
  });
  t.ok(failure.status(), "all calls of all ranks");
  for (std::uint32_t i = 0; i < size; ++i) {
    std::vector<std::uint32_t> found(count);
    std::memcpy(found.data(), ranks.source(i).read(0, 4 * count).data(), 4 * count);
    equal_words(t, found, model[i], "what the model has for rank " + std::to_string(i));
  }
}

FLAGOS_CASE("coll.registered_buffers", (options_of("flagos_communicator_register", Oracle::code))) {
  require_operation(t, all_reduce, int32);
  Ranks ranks(t, 2);
  std::vector<flagos_status_t> statuses(2);
  const auto on_both = [&](const auto& call) {
    in_threads(2, [&](std::uint32_t i) { statuses[i] = call(i); });
  };
  on_both([&](std::uint32_t i) {
    return flagos_communicator_register(ranks.communicator(i), ranks.source(i).address(), 4096);
  });
  if (statuses[0] == FLAGOS_STATUS_UNSUPPORTED)
    t.not_supported("the plugin makes no use of registered buffers");
  for (const flagos_status_t status : statuses) t.ok(status, "register");
  t.status(flagos_communicator_register(ranks.communicator(0), ranks.source(0).address(), 4096),
           FLAGOS_STATUS_INVALID_ARGUMENT, "register again");
  sum_works(t, ranks);
  on_both([&](std::uint32_t i) {
    return flagos_communicator_deregister(ranks.communicator(i), ranks.source(i).address());
  });
  for (const flagos_status_t status : statuses) t.ok(status, "deregister");
  t.status(flagos_communicator_deregister(ranks.communicator(0), ranks.source(0).address()),
           FLAGOS_STATUS_NOT_FOUND, "deregister again");
  sum_works(t, ranks);
}

FLAGOS_CASE("coll.overlap_partial_buffers",
            (options_of("flagos_collective_desc_t: source and target do not overlap",
                        Oracle::code))) {
  require_operation(t, all_reduce, int32);
  Ranks ranks(t, 2);
  for (const std::int64_t shift : {4, 396, -4, -396}) {
    t.subcase("the target " + std::to_string(shift) + " bytes from the source");
    Desc desc = ranks.desc(0, int32, 100);
    desc.source += 1024;
    desc.target = desc.source + static_cast<std::uint64_t>(shift);
    t.status(flagos_collective_all_reduce(ranks.communicator(0), ranks.stream(0), &desc),
             FLAGOS_STATUS_INVALID_ARGUMENT, "all_reduce");
  }
  if (takes(t, FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, int32)) {
    t.subcase("all_to_all in place");
    Desc desc = ranks.desc(0, int32, 100);
    desc.source = desc.target;
    t.status(flagos_collective_all_to_all(ranks.communicator(0), ranks.stream(0), &desc),
             FLAGOS_STATUS_INVALID_ARGUMENT, "all_to_all");
  }
  // Side by side is no overlap.
  fill(ranks, 16);
  auto descs = ranks.descs(int32, 16);
  for (auto& desc : descs) desc.target = desc.source + 64;
  ranks.run(flagos_collective_all_reduce, descs);
  for (std::uint32_t i = 0; i < 2; ++i)
    t.equal_bytes(ranks.source(i).read(64, 64), reduced_values(2, 0, 16, int32, 0),
                  "the sum behind its source");
}

FLAGOS_CASE("coll.destroy.pending",
            (options_of("flagos_communicator_destroy: after the work that is pending"))) {
  require_queues_only(t);
  Ranks ranks(t, 2);
  fill(ranks, 100);
  t.ok(sum_of(ranks, 0, 100), "a call before the other rank's");
  t.ok(flagos_communicator_destroy(ranks.communicator(0)), "destroy what is in use");
  const Desc desc = ranks.desc(0, int32, 100);
  t.status(flagos_collective_all_reduce(ranks.communicator(0), ranks.stream(0), &desc),
           FLAGOS_STATUS_INVALID_HANDLE, "it takes no more calls");
  ranks.communicator(0) = nullptr;
  t.ok(sum_of(ranks, 1, 100), "the other rank's call");
  for (std::uint32_t i = 0; i < 2; ++i) ranks.stream(i).synchronize();
  check_sums(t, ranks, 100);
}

FLAGOS_CASE("coll.destroy.order",
            (options_of("flagos_communicator_destroy: in any order of ranks"))) {
  require_operation(t, all_reduce, int32);
  for (const std::uint32_t first : {0u, 1u, 2u}) {
    t.subcase("rank " + std::to_string(first) + " first");
    Ranks ranks(t, 3), others(t, 3);
    sum_works(t, ranks);
    for (std::uint32_t i = 0; i < 3; ++i) {
      flagos_communicator_t*& one = ranks.communicator((first + i) % 3);
      t.ok(flagos_communicator_destroy(one), "destroy");
      one = nullptr;
    }
    sum_works(t, others);
  }
}

FLAGOS_CASE("coll.use_after_destroy",
            (options_of("flagos.h: Handles; a communicator that was destroyed", Oracle::code))) {
  require_operation(t, all_reduce, int32);
  Ranks ranks(t, 1), others(t, 2);
  flagos_communicator_t* const gone = ranks.communicator(0);
  t.ok(flagos_communicator_destroy(gone), "destroy");
  ranks.communicator(0) = nullptr;
  constexpr auto invalid = FLAGOS_STATUS_INVALID_HANDLE;
  const Desc desc = ranks.desc(0, int32, 4);
  for (const Function function : {flagos_collective_all_reduce, flagos_collective_broadcast,
                                  flagos_collective_all_gather, flagos_collective_send})
    t.status(function(gone, ranks.stream(0), &desc), invalid, "an operation");
  flagos_status_t found = 0;
  t.status(flagos_communicator_query_error(gone, &found), invalid, "query_error");
  t.status(flagos_communicator_abort(gone), invalid, "abort");
  t.status(flagos_communicator_destroy(gone), invalid, "destroy again");
  sum_works(t, others);
}

FLAGOS_CASE("life.comm_refs",
            (options_of("design 3: parents outlive children; flagos_device_close: BUSY",
                        Oracle::code, Isolation::own))) {
  require_operation(t, all_reduce, int32);
  OtherDevice device(t);
  flagos_communicator_t* communicator = nullptr;
  flagos_stream_t* stream = nullptr;
  t.ok(join(device, make_id(t), 0, 1, late_ns, &communicator), "join alone");
  flagos_stream_desc_t stream_desc{};
  stream_desc.struct_size = sizeof stream_desc;
  t.ok(flagos_stream_create(device, &stream_desc, &stream), "a stream");
  flagos_memory_desc_t memory_desc{};
  memory_desc.struct_size = sizeof memory_desc;
  memory_desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory_desc.size_bytes = 128;
  flagos_address_t memory = 0;
  t.ok(flagos_memory_alloc(device, &memory_desc, &memory), "memory");
  const std::uint32_t value = 0x1234567;
  t.ok(flagos_memory_fill(stream, memory, &value, 4, 64), "a fill");
  t.status(flagos_device_close(device), FLAGOS_STATUS_BUSY, "close the device");
  Desc desc{};
  desc.struct_size = sizeof desc;
  desc.dtype = FLAGOS_DTYPE_UINT32;
  desc.count = 16;
  desc.source = memory;
  desc.target = memory + 64;
  t.ok(flagos_collective_all_reduce(communicator, stream, &desc), "a sum of one rank");
  std::uint32_t found[16] = {};
  t.ok(flagos_memory_copy(stream, reinterpret_cast<std::uintptr_t>(found), memory + 64, 64),
       "a copy of it");
  t.ok(flagos_stream_synchronize(stream, patience_ns), "wait");
  for (const std::uint32_t word : found) t.equal(word, value, "the sum of one");
  // The stream goes first; the communicator does not need it.
  t.ok(flagos_stream_destroy(stream), "destroy the stream");
  flagos_communicator_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_communicator_get_info(communicator, &info), "describe the communicator");
  t.equal(info.size, 1, "its size");
  t.ok(flagos_memory_free(device, memory), "free");
  t.ok(flagos_communicator_destroy(communicator), "destroy the communicator");
}

}  // namespace flagos::conformance
