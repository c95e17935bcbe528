// Images that are broken, cut, spoilt or made for something else: an error, never a crash, and the
// next load works.
#include <flagos.h>

#include <algorithm>

#include "conformance/cases/module_support.hpp"

namespace flagos::conformance {
namespace {

// What stands in front of every broken image: a good one, so that the case proves that loading
// works at all.
std::vector<std::uint8_t> good_image(Context& t, std::string* out_format) {
  auto image = t.module_image(out_format);
  bool works = false;
  t.ok(try_load(t, *out_format, image, &works), "the good image loads");
  t.check(works, "the good image works");
  return image;
}

void check_still_works(Context& t, const std::string& format,
                       const std::vector<std::uint8_t>& image) {
  t.subcase("the good image afterwards");
  bool works = false;
  t.ok(try_load(t, format, image, &works), "the good image loads");
  t.check(works, "the good image works");
}

// Source text that is cut may fail in the compiler that loads it.
void check_refused(Context& t, flagos_status_t status, bool binary, const std::string& what) {
  if (!binary && status == FLAGOS_STATUS_COMPILE_FAILED) return;
  t.status(status, FLAGOS_STATUS_INVALID_IMAGE, what);
  t.check(std::string(flagos_last_error()).size() > 10, "the text says why");
}

}  // namespace

FLAGOS_CASE("mod.load.empty", {.clause = "INVALID_IMAGE: empty", .oracle = Oracle::code}) {
  std::string format;
  const auto image = good_image(t, &format);
  flagos_module_desc_t desc = module_desc(format, std::span(image).first(0));
  desc.data = image.data();
  auto* module = reinterpret_cast<flagos_module_t*>(0x55);
  t.status(flagos_module_load(t.device(), &desc, &module), FLAGOS_STATUS_INVALID_IMAGE,
           "an image of zero bytes");
  t.check(module == nullptr, "the out parameter is NULL");
  t.subcase("neither path nor data");
  desc.data = nullptr;
  t.status(flagos_module_load(t.device(), &desc, &module), FLAGOS_STATUS_INVALID_ARGUMENT,
           "no image at all");
  t.subcase("both path and data");
  desc.data = image.data();
  desc.size_bytes = image.size();
  desc.path = "some file";
  t.status(flagos_module_load(t.device(), &desc, &module), FLAGOS_STATUS_INVALID_ARGUMENT,
           "two images");
  check_still_works(t, format, image);
}

FLAGOS_CASE("mod.load.garbage", {.clause = "INVALID_IMAGE: not of the format",
                                 .oracle = Oracle::code,
                                 .isolation = Isolation::own}) {
  std::string format;
  const auto image = good_image(t, &format);
  for (std::uint32_t i = 0; i < 64; ++i) {
    // A few bytes may be a text, and behind the first words of one, which are a comment, nearly everything is.
    const std::size_t least = is_binary(image) ? 1 : 16;
    const auto size = static_cast<std::size_t>(least + t.random_below(i % 2 == 0 ? 200 : 20'000));
    t.subcase("garbage " + std::to_string(i) + " of " + std::to_string(size) + " bytes");
    auto garbage = t.random_bytes(size);
    // Half of them begin as a real image for this machine, so that they get past the first glance.
    const std::size_t taken = !is_binary(image) || i % 2 == 0 ? 0 : i % 4 == 1 ? 20 : 64;
    std::copy_n(image.begin(), std::min(size / 2, taken), garbage.begin());
    check_refused(t, try_load(t, format, garbage), is_binary(image), "random bytes are no image");
  }
  check_still_works(t, format, image);
}

FLAGOS_CASE("mod.load.truncated", {.clause = "INVALID_IMAGE: truncated",
                                   .oracle = Oracle::code,
                                   .isolation = Isolation::own}) {
  std::string format;
  const auto image = good_image(t, &format);
  std::vector<std::size_t> cuts{
      1, 3, 4, 15, 16, 63, 64, 65, 120, 300, image.size() - 1, image.size() - 64};
  // Each cut of a text is a run of a compiler.
  const std::size_t count = t.settings().quick && !is_binary(image) ? cuts.size() : 32;
  while (cuts.size() < count)
    cuts.push_back(static_cast<std::size_t>(1 + t.random_below(image.size() - 1)));
  for (const std::size_t cut : cuts) {
    t.subcase("cut to " + std::to_string(cut) + " of " + std::to_string(image.size()) + " bytes");
    // A text may be complete without its last lines.
    const flagos_status_t status = try_load(t, format, std::span(image).first(cut));
    if (!is_binary(image) && status == FLAGOS_STATUS_OK) continue;
    check_refused(t, status, is_binary(image), "an image that is cut");
  }
  check_still_works(t, format, image);
}

FLAGOS_CASE("mod.load.bitflip",
            {.clause = "flagos_module_load", .level = Level::full, .isolation = Isolation::own}) {
  std::string format;
  const auto image = good_image(t, &format);
  // The header only: a flipped bit in native code can be any program, which no loader could refuse.
  const std::size_t header = std::min<std::size_t>(image.size(), 32);
  std::uint32_t refused = 0;
  for (std::size_t bit = 0; bit < header * 8; ++bit) {
    t.subcase("bit " + std::to_string(bit % 8) + " of byte " + std::to_string(bit / 8));
    auto spoilt = image;
    spoilt[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    bool works = false;
    const flagos_status_t status = try_load(t, format, spoilt, &works);
    if (status == FLAGOS_STATUS_OK) {
      t.check(works, "an image that is taken works");
      continue;
    }
    ++refused;
    const bool class_fits = FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ARGUMENT ||
                            FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_UNSUPPORTED;
    t.check(class_fits, "an image that is refused is the caller's fault: " +
                            std::string(flagos_status_get_name(status)));
  }
  t.check(!is_binary(image) || refused >= 32, "a wrong magic number is refused");
  check_still_works(t, format, image);
}

FLAGOS_CASE("mod.load.wrong_target", {.clause = "UNSUPPORTED: an image for another target",
                                      .oracle = Oracle::code,
                                      .isolation = Isolation::own}) {
  std::string format;
  const auto image = good_image(t, &format);
  t.subcase("another format");
  for (const char* name : {"no-such-format", "ELF-SO", "elf-so ", "elf-s"}) {
    const std::string other = name;
    t.status(try_load(t, other, image), FLAGOS_STATUS_UNSUPPORTED,
             "a format that the device does not list: '" + other + "'");
  }
  if (is_elf(image)) {
    t.subcase("another machine");
    auto foreign = image;
    foreign[18] = 0x2a;  // SuperH: nobody's machine here
    foreign[19] = 0;
    t.status(try_load(t, format, foreign), FLAGOS_STATUS_UNSUPPORTED,
             "a shared object for another machine");
  }
  check_still_works(t, format, image);
}

FLAGOS_CASE("mod.load.version_newer", {.clause = "flagos_module_load",
                                       .level = Level::full,
                                       .oracle = Oracle::code,
                                       .isolation = Isolation::own}) {
  std::string format;
  const auto image = good_image(t, &format);
  if (!is_binary(image)) t.not_supported("the version of this format does not stand in its image");
  auto newer = image;
  newer[6] = 2;  // EI_VERSION; in SPIR-V the major version
  const flagos_status_t status = try_load(t, format, newer);
  t.check(status == FLAGOS_STATUS_INVALID_IMAGE || status == FLAGOS_STATUS_UNSUPPORTED,
          "a newer version of the format is refused, found " +
              std::string(flagos_status_get_name(status)));
  check_still_works(t, format, image);
}

}  // namespace flagos::conformance
