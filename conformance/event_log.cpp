#include "conformance/event_log.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "conformance/json_text.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

int open_or_throw(const std::string& path, int flags) {
  const int descriptor = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    throw std::runtime_error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  }
  return descriptor;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read '{}'", path));
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_all(int descriptor, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      throw std::runtime_error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::string run_name(const std::string& hash) { return hash.substr(0, 16); }

std::vector<nlohmann::json> read_event_chain(const std::string& text, std::size_t* out_used,
                                             std::string* out_root) {
  std::vector<nlohmann::json> events;
  std::string previous(64, '0');
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    const std::string line = text.substr(start, end - start);
    const std::string name = fmt::format("line {}", events.size() + 1);
    nlohmann::json event = parse_canonical_json(line, name);
    if (!event.is_object()) throw std::runtime_error(name + " is no event");
    const auto prev = event.find("prev");
    if (prev == event.end() || !prev->is_string() || prev->get<std::string>() != previous) {
      throw std::runtime_error(name + " does not follow the line before it");
    }
    previous = sha256_hex(line);
    events.push_back(std::move(event));
    start = end + 1;
  }
  *out_used = start;
  *out_root = previous;
  return events;
}

EventLog EventLog::create(const std::string& path) {
  EventLog log;
  log.path_ = path;
  log.descriptor_ = open_or_throw(path, O_WRONLY | O_CREAT | O_TRUNC);
  return log;
}

EventLog EventLog::resume(const std::string& path) {
  EventLog log;
  log.path_ = path;
  const std::string text = read_text(path);
  std::size_t used = 0;
  try {
    log.loaded_ = read_event_chain(text, &used, &log.previous_);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("'{}': {}", path, error.what()));
  }
  if (used > 0) log.header_ = log.loaded_.front();
  if (used > 0) log.run_ = run_name(sha256_hex(text.substr(0, text.find('\n'))));
  log.descriptor_ = open_or_throw(path, O_WRONLY | O_APPEND);
  if (used < text.size() && ftruncate(log.descriptor_, static_cast<off_t>(used)) != 0) {
    throw std::runtime_error(fmt::format("cannot shorten '{}': {}", path, std::strerror(errno)));
  }
  return log;
}

EventLog::EventLog(EventLog&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      header_(std::move(other.header_)),
      run_(std::move(other.run_)),
      previous_(std::move(other.previous_)),
      loaded_(std::move(other.loaded_)) {}

EventLog& EventLog::operator=(EventLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(header_, other.header_);
  std::swap(run_, other.run_);
  std::swap(previous_, other.previous_);
  std::swap(loaded_, other.loaded_);
  return *this;
}

EventLog::~EventLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void EventLog::append(nlohmann::json event) {
  event["prev"] = previous_;
  const std::string line = canonical_json(event);
  previous_ = sha256_hex(line);
  if (run_.empty()) {
    run_ = run_name(previous_);
    header_ = event;
  }
  if (descriptor_ < 0) return;
  write_all(descriptor_, line + "\n", path_);
  if (fdatasync(descriptor_) != 0) {
    throw std::runtime_error(fmt::format("cannot sync '{}': {}", path_, std::strerror(errno)));
  }
}

}  // namespace flagos::conformance
