#include "conformance/event_log.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <stdlib.h>

#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_("/tmp/flagos_event_log_XXXXXX") {
    REQUIRE(mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string file() const { return path_ + "/events.jsonl"; }

 private:
  std::string path_;
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

void write_three(const std::string& path) {
  EventLog log = EventLog::create(path);
  for (int i = 0; i < 3; ++i) log.append({{"event", "result"}, {"number", i}});
}

}  // namespace

TEST_CASE("SHA-256 of a known text") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(stable_hash("abc") == 0xba7816bf8f01cfeaull);
  Sha256 hash;
  hash.update("a");
  CHECK(hash.hex() == sha256_hex("a"));
  hash.update("bc");  // reading the digest does not end it
  CHECK(hash.hex() == sha256_hex("abc"));
}

TEST_CASE("lines form a chain from zeros to the root") {
  const TemporaryFolder folder;
  write_three(folder.file());
  std::size_t used = 0;
  std::string root;
  const std::string text = text_of(folder.file());
  const auto events = read_event_chain(text, &used, &root);
  REQUIRE(events.size() == 3);
  CHECK(events[0].at("prev") == std::string(64, '0'));
  CHECK(used == text.size());
  const std::size_t last = text.rfind('\n', text.size() - 2) + 1;
  CHECK(root == sha256_hex(text.substr(last, text.size() - 1 - last)));
}

TEST_CASE("a log goes on where it ended") {
  const TemporaryFolder folder;
  write_three(folder.file());
  {
    EventLog log = EventLog::resume(folder.file());
    CHECK(log.loaded().size() == 3);
    log.append({{"number", 3}});
  }
  const EventLog log = EventLog::resume(folder.file());
  CHECK(log.loaded().size() == 4);
  CHECK(log.loaded().back().at("number") == 3);
}

TEST_CASE("a line that was cut off is dropped") {
  const TemporaryFolder folder;
  write_three(folder.file());
  const std::string text = text_of(folder.file());
  write_text(folder.file(), text.substr(0, text.size() - 5));
  {
    EventLog log = EventLog::resume(folder.file());
    CHECK(log.loaded().size() == 2);
    log.append({{"number", 2}});
  }
  CHECK(EventLog::resume(folder.file()).loaded().size() == 3);
}

TEST_CASE("any change of a byte breaks the chain") {
  const TemporaryFolder folder;
  write_three(folder.file());
  const std::string text = text_of(folder.file());
  const std::size_t last_line = text.rfind('\n', text.size() - 2) + 1;
  std::size_t unseen = 0;
  for (std::size_t i = 0; i < last_line; ++i) {
    std::string changed = text;
    changed[i] ^= 1;
    std::size_t used = 0;
    std::string root;
    try {
      read_event_chain(changed, &used, &root);
      ++unseen;
    } catch (const std::runtime_error&) {
    }
  }
  CHECK(unseen == 0);
}

TEST_CASE("a missing or exchanged line is named") {
  const TemporaryFolder folder;
  write_three(folder.file());
  const std::string text = text_of(folder.file());
  const std::size_t first = text.find('\n') + 1;
  write_text(folder.file(), text.substr(first));
  CHECK_THROWS_WITH_AS(EventLog::resume(folder.file()), doctest::Contains("line 1 does not follow"),
                       std::runtime_error);
  write_text(folder.file(), "not json\n");
  CHECK_THROWS_WITH_AS(EventLog::resume(folder.file()), doctest::Contains("line 1 is not JSON"),
                       std::runtime_error);
  CHECK_THROWS_AS(EventLog::resume(folder.file() + ".missing"), std::runtime_error);
}

TEST_CASE("bytes that are no UTF-8 do not stop the log") {
  EventLog log;
  log.append({{"text", std::string("\xff\xfe")}});
  CHECK(log.root() != std::string(64, '0'));
}

}  // namespace flagos::conformance
