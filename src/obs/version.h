/* src/obs/version.h: what this program is, in words for people. The build may tell its commit. */
#pragma once

#ifndef PIRENE_VERSION_TEXT
#define PIRENE_VERSION_TEXT "0.1.0"
#endif
#ifndef PIRENE_COMMIT_TEXT
#define PIRENE_COMMIT_TEXT "unknown"
#endif
#ifdef NDEBUG
#define PIRENE_BUILD_TEXT "release"
#else
#define PIRENE_BUILD_TEXT "debug"
#endif
