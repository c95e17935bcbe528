// An operation that gets nowhere names who holds it up: the rank at the end of the chain of waits.
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <thread>

#include "comm/channel.hpp"
#include "comm/testing/local_world.hpp"
#include "comm/testing/world.hpp"

using namespace flagos::comm::testing;
using flagos::comm::Answer;
using flagos::comm::Kind;
using flagos::comm::Questions;

namespace {

constexpr auto f32 = FLAGOS_DTYPE_FLOAT32;
constexpr std::uint64_t count = 10'000;

// Ranks of this process that wait for half a second.
struct Ranks : LocalWorld {
  explicit Ranks(std::uint32_t size, const std::string& algorithm = "automatic")
      : Ranks(size, Variable("FLAGOS_COMM_ALGORITHM", algorithm),
              Variable("FLAGOS_COMM_NATIVE", "0")) {}
  void all_reduce(std::uint32_t rank) {
    check(flagos_comm_all_reduce(comms[rank], devices[rank]->stream(), buffers[rank], buffers[rank],
                                 count, f32, FLAGOS_COMM_REDUCTION_SUM));
  }
  // Why the communicator of a rank has failed, once its stream says that it has.
  std::string why(std::uint32_t rank) {
    CHECK(devices[rank]->synchronize() == FLAGOS_STATUS_COMM_TIMEOUT);
    flagos_status_t status = FLAGOS_STATUS_OK;
    check(flagos_comm_query_status(comms[rank], &status));
    return flagos_last_error();
  }

 private:
  Ranks(std::uint32_t size, const Variable&, const Variable&) : LocalWorld({"cpu"}, size, 0, 500) {
    alloc(count * 4);
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("blame: an answer is read by those who asked before it, not by those who ask again") {
  Questions questions;
  Answer answer;
  const std::uint32_t first = questions.ask();
  CHECK_FALSE(questions.read(first, answer));
  const std::uint32_t second = questions.ask();
  questions.answer(second, {Answer::State::peer, Kind::reduce, 3, 17});
  for (const std::uint32_t question : {first, second}) {
    REQUIRE(questions.read(question, answer));
    CHECK(answer.state == Answer::State::peer);
    CHECK(answer.kind == Kind::reduce);
    CHECK(answer.awaited == 3);
    CHECK(answer.sequence == 17);
  }
  CHECK_FALSE(questions.read(questions.ask(), answer));
}

TEST_CASE("blame: a rank that does not make the call is named by all, with every algorithm") {
  for (const std::string algorithm : {"one_step", "slices", "tree", "ring"}) {
    Ranks ranks(5, algorithm);
    for (std::uint32_t rank = 0; rank < 5; ++rank) ranks.all_reduce(rank);
    for (auto& device : ranks.devices) check(device->synchronize());
    for (const std::uint32_t rank : {0U, 1U, 3U, 4U}) ranks.all_reduce(rank);
    for (const std::uint32_t rank : {0U, 1U, 3U, 4U}) {
      const std::string text = ranks.why(rank);
      CHECK_MESSAGE(contains(text, "all_reduce #1: "), algorithm, ": ", text);
      CHECK_MESSAGE(contains(text, "rank 2, which has not made the call"), algorithm, ": ", text);
    }
  }
}

TEST_CASE(
    "blame: a rank whose stream waits for something else is named, and that it is the stream") {
  Ranks ranks(4, "ring");
  flagos_timeline_t* gate = nullptr;
  check(flagos_timeline_create(ranks.devices[2]->device(), 0, &gate));
  check(flagos_stream_wait_timeline(ranks.devices[2]->stream(), gate, 1));
  for (std::uint32_t rank = 0; rank < 4; ++rank) ranks.all_reduce(rank);
  const std::string text = ranks.why(0);
  CHECK_MESSAGE(contains(text, "rank 2, whose stream has not come to it"), text);
  check(flagos_timeline_signal(gate, 1));
  static_cast<void>(ranks.devices[2]->synchronize());
  check(flagos_timeline_destroy(gate));
}

TEST_CASE("blame: ranks that wait for each other in a circle are all named") {
  Ranks ranks(3);
  for (std::uint32_t rank = 0; rank < 3; ++rank)
    check(flagos_comm_receive(ranks.comms[rank], ranks.devices[rank]->stream(), ranks.buffers[rank],
                              16, f32, (rank + 1) % 3));
  const std::string text = ranks.why(1);
  for (const char* name : {"rank 0", "rank 1", "rank 2"}) CHECK_MESSAGE(contains(text, name), text);
  CHECK_MESSAGE(contains(text, ", which waits for rank "), text);
}
